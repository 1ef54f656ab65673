"""Job controller and garbage collector: each some lines of what the real ones do."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from tests.fakes.kubernetes_api.kubelet import Kubelet
from tests.fakes.kubernetes_api.store import Conflict, Object, Store, now

_INDEX = "batch.kubernetes.io/job-completion-index"


class Controllers:
    """`pods_refused`: what a quota says about pods (an event FailedCreate on the Job)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.kubelet = Kubelet(store)
        self.pods_refused = ""
        self.most_jobs_at_work: dict[str, int] = {}  # by run label: what must never pass 1
        self._began: dict[str, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join(5)
        self.kubelet.close()

    def delete(self, resource: str, name: str, policy: str) -> None:
        found = self._store.get(resource, name)
        if found is None:
            return
        if resource == "pods":
            self.kubelet.delete(name)
        elif resource == "jobs" and policy == "Foreground" and self._pods(found):
            found["metadata"]["deletionTimestamp"] = now()
            found["metadata"]["finalizers"] = ["foregroundDeletion"]
            self._store.update("jobs", found)
        else:
            self._store.remove(resource, name)

    def _loop(self) -> None:
        while not self._over.wait(0.02):
            for job in self._store.list("jobs"):
                self._tend(job)
            self._collect()
            self._count()

    def _tend(self, job: Object) -> None:
        pods = self._pods(job)
        if job["metadata"].get("deletionTimestamp"):
            for pod in pods:
                self.kubelet.delete(pod["metadata"]["name"])
            if not pods:
                self._store.remove("jobs", job["metadata"]["name"])
            return None
        if _over(job):
            return None
        if self._past_deadline(job):
            return self._fail(job, pods, "DeadlineExceeded", "Job was active longer than specified deadline")
        failed = [pod for pod in pods if pod["status"]["phase"] == "Failed"]
        if failed:
            return self._fail(job, pods, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        succeeded = sum(pod["status"]["phase"] == "Succeeded" for pod in pods)
        if succeeded == job["spec"]["completions"]:
            return self._finish(job, "Complete", "CompletionsReached", "Reached expected number of succeeded pods")
        if job["spec"].get("suspend"):
            return None
        known = {pod["metadata"]["name"] for pod in pods}
        for index in range(job["spec"]["completions"]):
            if not any(name.startswith(f"{job['metadata']['name']}-{index}-") for name in known):
                self._make(job, index)
        return None

    def _past_deadline(self, job: Object) -> bool:
        limit = job["spec"].get("activeDeadlineSeconds")
        first = self._began.setdefault(job["metadata"]["uid"], time.monotonic())
        return limit is not None and time.monotonic() - first > limit

    def _fail(self, job: Object, pods: list[Object], reason: str, message: str) -> None:
        """FailureTarget at once; Failed when no pod of it works any more."""
        active = [pod for pod in pods if pod["status"]["phase"] not in ("Succeeded", "Failed")]
        for pod in active:
            self.kubelet.delete(pod["metadata"]["name"])
        if not active:
            self._finish(job, "Failed", reason, message)

    def _finish(self, job: Object, what: str, reason: str, message: str) -> None:
        condition = {
            "type": what,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": now(),
        }
        job.setdefault("status", {}).setdefault("conditions", []).append(condition)
        with contextlib.suppress(AssertionError):  # it was deleted meanwhile
            self._store.update("jobs", job)

    def _make(self, job: Object, index: int) -> None:
        if self.pods_refused:
            return self._event(job, "FailedCreate", f"Error creating: pods is forbidden: {self.pods_refused}")
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        template = job["spec"]["template"]
        labels = dict(template["metadata"].get("labels") or {})
        labels |= {
            "batch.kubernetes.io/job-name": name,
            "batch.kubernetes.io/controller-uid": uid,
            "job-name": name,
        }
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid, "controller": True}
        metadata = {
            "name": f"{name}-{index}-{self._store.version:05x}",
            "namespace": job["metadata"]["namespace"],
            "labels": labels,
            "annotations": dict(template["metadata"].get("annotations") or {}) | {_INDEX: str(index)},
            "ownerReferences": [owner | {"blockOwnerDeletion": True}],
        }
        spec = {**template["spec"], "hostname": f"{name}-{index}"}
        pod = {"apiVersion": "v1", "metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}
        self.kubelet.run(self._store.add("pods", pod), index)
        return None

    def _event(self, about: Object, reason: str, message: str) -> None:
        event(self._store, about, reason, message)

    def _collect(self) -> None:
        for plural in ("pods", "services", "jobs"):
            for found in self._store.list(plural):
                owners = found["metadata"].get("ownerReferences") or []
                if owners and not any(self._store.has(owner["uid"]) for owner in owners):
                    self.delete(plural, found["metadata"]["name"], "Background")

    def _count(self) -> None:
        """Runs whose containers run at this moment, by Job."""
        at_work: dict[str, set[str]] = {}
        for pod in self._store.list("pods"):
            if self.kubelet.works(pod["metadata"]["name"]):
                labels = pod["metadata"]["labels"]
                at_work.setdefault(labels["agentforge.dev/run"], set()).add(labels["job-name"])
        for run, jobs in at_work.items():
            self.most_jobs_at_work[run] = max(self.most_jobs_at_work.get(run, 0), len(jobs))

    def _pods(self, job: Object) -> list[Object]:
        uid = job["metadata"]["uid"]
        every = self._store.list("pods")
        return [pod for pod in every if any(o["uid"] == uid for o in pod["metadata"].get("ownerReferences", ()))]


def event(store: Store, about: Object, reason: str, message: str) -> None:
    name = f"{about['metadata']['name']}.{reason.lower()}"
    involved: dict[str, Any] = {"uid": about["metadata"]["uid"], "name": about["metadata"]["name"]}
    told = {
        "apiVersion": "v1", "metadata": {"name": name}, "involvedObject": involved,
        "type": "Warning", "reason": reason, "message": message, "lastTimestamp": now(),
    }  # fmt: skip
    with contextlib.suppress(Conflict):
        store.add("events", told)


def _over(job: Object) -> bool:
    return any(c["type"] in ("Complete", "Failed") for c in job.get("status", {}).get("conditions", ()))
