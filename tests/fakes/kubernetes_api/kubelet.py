"""Runs each pod's container as a process of this machine, or leaves it waiting as the test says."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from tests.fakes.kubernetes_api.store import Object, Store, now

_MESSAGE_BYTES, _MESSAGE_LINES = 2048, 80

WAITING = {
    "image": ("ErrImagePull", 'failed to pull image "nowhere/worker:1": not found'),
    "image_name": ("InvalidImageName", 'couldn\'t parse image name "Not An Image"'),
    "mount": ("ContainerCreating", ""),
}
UNSCHEDULABLE = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
MULTI_ATTACH = 'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) other-0'


class Kubelet:
    """`scenario`: "" runs pods; "unschedulable", "image", "image_name" and "mount" leave new ones waiting."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.scenario = ""
        self.start_delay_s = 0.0
        self.grace_s = 5.0
        self.environment: dict[str, str] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._leaving: set[str] = set()
        self._struck: dict[str, str] = {}
        self._lock = threading.RLock()
        self._logs = tempfile.TemporaryDirectory(prefix="kubelet-")

    def run(self, pod: Object, index: int) -> None:
        threading.Thread(target=self._run, args=(pod, index), daemon=True).start()

    def works(self, name: str) -> bool:
        process = self._processes.get(name)
        return process is not None and process.poll() is None

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def delete(self, name: str) -> None:
        """SIGTERM, the grace period, SIGKILL; the pod goes when its process has gone."""
        with self._lock:
            if name in self._leaving:
                return
            self._leaving.add(name)
        threading.Thread(target=self._end, args=(name,), daemon=True).start()

    def strike(self, name: str, how: str) -> None:
        """ "oom", "evicted" or "node_lost" ends the container by force, and the status tells so."""
        self._struck[name] = how
        kill_tree(self.pid(name))

    def close(self) -> None:
        for process in list(self._processes.values()):
            if process.poll() is None:
                kill_tree(process.pid)
        self._logs.cleanup()

    def _run(self, pod: Object, index: int) -> None:
        from tests.fakes.kubernetes_api.controllers import event

        scenario, name = self.scenario, pod["metadata"]["name"]
        if scenario == "unschedulable":
            self._condition(name, "PodScheduled", "False", "Unschedulable", UNSCHEDULABLE)
        elif scenario:
            reason, message = WAITING[scenario]
            self._status(name, {"waiting": {"reason": reason, "message": message}})
            if scenario == "mount":
                event(self._store, pod, "FailedAttachVolume", MULTI_ATTACH)
        else:
            threading.Event().wait(self.start_delay_s)
            self._start(pod, index)

    def _start(self, pod: Object, index: int) -> None:
        name = pod["metadata"]["name"]
        container = next(each for each in pod["spec"]["containers"] if each["name"] == "worker")
        told = {"JOB_COMPLETION_INDEX": str(index)} | {v["name"]: v["value"] for v in container["env"]}
        command = [_expanded(part, told, pod) for part in container["command"]]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        with self._lock:
            if name in self._leaving:
                return
            log = Path(self._logs.name, name)
            with log.open("wb") as output:
                self._processes[name] = process = subprocess.Popen(
                    command, env=os.environ | self.environment | told | {"PATH": path}, stdin=subprocess.DEVNULL,
                    stdout=output, stderr=output, start_new_session=True,
                )  # fmt: skip
        self._status(name, {"running": {"startedAt": now()}}, "Running")
        code = process.wait()
        self._ended(name, 128 - code if code < 0 else code, log)

    def _ended(self, name: str, code: int, log: Path) -> None:
        how = self._struck.get(name, "")
        state: dict[str, Any] = {
            "exitCode": code,
            "reason": "Completed" if code == 0 else "Error",
            "finishedAt": now(),
        }
        if how == "oom":
            state["reason"] = "OOMKilled"
        if code and log.exists():
            lines = log.read_bytes()[-_MESSAGE_BYTES:].decode(errors="replace").splitlines()
            state["message"] = "\n".join(lines[-_MESSAGE_LINES:])
        extra = {}
        if how == "evicted":
            extra = {"reason": "Evicted", "message": "The node was low on resource: memory."}
        if how == "node_lost":
            self._condition(name, "DisruptionTarget", "True", "DeletionByPodGC", "PodGC: node no longer exists")
        self._status(name, {"terminated": state}, "Succeeded" if code == 0 else "Failed", extra)

    def _end(self, name: str) -> None:
        with self._lock:
            process = self._processes.get(name)
        if process is not None and process.poll() is None:
            process.terminate()  # the kubelet signals the container's first process alone
            try:
                process.wait(self.grace_s)
            except subprocess.TimeoutExpired:
                kill_tree(process.pid)
                process.wait()
        threading.Event().wait(0.1)  # its last status
        self._store.remove("pods", name)

    def _status(
        self, name: str, state: dict[str, Any], phase: str = "Pending", extra: dict[str, str] | None = None
    ) -> None:
        with self._store.changed:
            pod = self._store.get("pods", name)
            if pod is not None:
                status = {"name": "worker", "ready": "running" in state, "restartCount": 0, "state": state}
                pod["status"] |= {"phase": phase, "containerStatuses": [status]} | (extra or {})
                self._store.update("pods", pod)

    def _condition(self, name: str, kind: str, status: str, reason: str, message: str) -> None:
        with self._store.changed:
            pod = self._store.get("pods", name)
            if pod is not None:
                told = {"type": kind, "status": status, "reason": reason, "message": message}
                pod["status"].setdefault("conditions", []).append(told)
                self._store.update("pods", pod)


def kill_tree(pid: int) -> None:
    """A container ends with all its processes, also those in sessions of their own, as torchrun's are."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGSTOP)  # it starts no more of them
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            kill_tree(int(child))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _expanded(part: str, told: dict[str, str], pod: Object) -> str:
    part = re.sub(r"\$\((\w+)\)", lambda found: told.get(found[1], found[0]), part)
    subdomain = pod["spec"].get("subdomain")
    return "127.0.0.1" if subdomain and part == f"{subdomain}-0.{subdomain}" else part
