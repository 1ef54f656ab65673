"""What a launcher asks of the cluster, each as one question."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from agentforge.kit.cluster import names
from agentforge.kit.cluster.api import Api, ApiRefused, Object
from agentforge.kit.cluster.mirror import Mirror
from agentforge.kit.cluster.settings import ClusterSettings
from agentforge.kit.rundir import RunDirectory

_GONE_WITHIN_S = 90.0


class Cluster:
    def __init__(self, api: Api, settings: ClusterSettings, phase: str, installed: str) -> None:
        self.api, self.settings, self.installed = api, settings, installed
        self._everything = names.phase_selector(phase, installed)
        self.jobs = Mirror(api, "batch", "list_namespaced_job", self._everything)
        self.pods = Mirror(api, "core", "list_namespaced_pod", self._everything)

    def start(self) -> None:
        self.jobs.start()
        self.pods.start()

    async def close(self) -> None:
        await asyncio.to_thread(self.jobs.close)
        await asyncio.to_thread(self.pods.close)

    async def jobs_of(self, run: RunDirectory) -> list[Object]:
        selector = names.selector(names.labels(run, self.installed))
        return await self._list("batch", "list_namespaced_job", label_selector=selector)

    async def all_jobs(self) -> list[Object]:
        return await self._list("batch", "list_namespaced_job", label_selector=self._everything)

    async def job(self, name: str, uid: str = "") -> Object | None:
        """None when there is none, or another under the name."""
        found = await self._get("batch", "read_namespaced_job", name)
        return found if found is not None and uid in ("", found["metadata"]["uid"]) else None

    async def pods_of(self, uid: str, name: str) -> list[Object]:
        found = await self._list(
            "core", "list_namespaced_pod", label_selector=f"batch.kubernetes.io/job-name={name}"
        )
        own = [pod for pod in found if _belongs(pod, uid)]
        self.pods.put(*own)
        return own

    async def events(self, uid: str, pods: Iterable[Object]) -> list[Object]:
        """About a Job and its pods; empty where they cannot be had, for they only explain."""
        uids = [uid, *(pod["metadata"]["uid"] for pod in pods)][:4]
        try:
            return [event for each in uids for event in await self._events(each)]
        except ApiRefused:
            return []

    async def owner(self) -> list[dict[str, Any]]:
        """A reference to the ConfigMap that all Jobs go with."""
        if not self.settings.owner:
            return []
        found = await self._get("core", "read_namespaced_config_map", self.settings.owner)
        if found is None:
            return []
        return [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": self.settings.owner, "uid": found["metadata"]["uid"]}
        ]

    async def delete(self, name: str, uid: str) -> None:
        """The Job with that uid, its Service and, after SIGTERM, its pods. Nothing to delete is no error."""
        body = {"propagationPolicy": "Foreground", "preconditions": {"uid": uid}}
        await self._delete("batch", "delete_namespaced_job", name, body)
        await self._delete("core", "delete_namespaced_service", name, {})

    async def gone(self, name: str, uid: str) -> bool:
        """Wait until the Job is; whether it went. A finalizer that nobody serves may hold it."""
        deadline = asyncio.get_running_loop().time() + _GONE_WITHIN_S
        while await self.job(name, uid) is not None:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(self.settings.look_s)
        return True

    async def _events(self, uid: str) -> list[Object]:
        selector = f"involvedObject.uid={uid}"
        listed = await self.api.once("core", "list_namespaced_event", self.api.namespace, field_selector=selector)
        return list(listed["items"])

    async def _list(self, group: str, verb: str, **options: Any) -> list[Object]:
        listed = await self.api.call(group, verb, self.api.namespace, **options)
        return list(listed["items"])

    async def _get(self, group: str, verb: str, name: str) -> Object | None:
        try:
            return await self.api.call(group, verb, name, self.api.namespace)
        except ApiRefused as error:
            if error.status == 404:
                return None
            raise

    async def _delete(self, group: str, verb: str, name: str, body: dict[str, Any]) -> None:
        try:
            await self.api.call(group, verb, name, self.api.namespace, body=body)
        except ApiRefused as error:
            if error.status not in (404, 409):  # gone, or another has the name by now
                raise


def _belongs(found: Object, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in found["metadata"].get("ownerReferences", ()))
