"""Launches runs as Jobs and finds them again. Why one run never has two of them is told in the package."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

from agentforge.kit.cluster import jobs, names, refusals
from agentforge.kit.cluster.api import Api, ApiRefused, Connection, Object, Pause
from agentforge.kit.cluster.cluster import Cluster
from agentforge.kit.cluster.log import last_words, say
from agentforge.kit.cluster.pods import over, refusal
from agentforge.kit.cluster.preflight import check
from agentforge.kit.cluster.settings import CREDENTIALS, ClusterSettings
from agentforge.kit.cluster.worker import AFTER, JobWorker, Unlaunched
from agentforge.kit.errors import ForgeError
from agentforge.kit.rundir import RunDirectory

_ASK_AGAIN_S = 1.0
_log = logging.getLogger(__name__)


class KubernetesLauncher:
    """`connection` None: by the client's own configuration file, as `kubectl` has it."""

    def __init__(self, settings: ClusterSettings, connection: Connection | None = None) -> None:
        self._settings = settings
        self._api = Api(connection, settings.namespace)
        self._cluster: Cluster | None = None

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> KubernetesLauncher:
        settings = ClusterSettings.of_environment(environment)
        host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            return cls(settings)
        host = f"[{host}]" if ":" in host else host
        return cls(settings, Connection(f"https://{host}:{port}", CREDENTIALS / "ca.crt", CREDENTIALS / "token"))

    async def ready(self, home: Path, phase: str) -> None:
        await check(self._api, self._settings, home, phase)
        self._cluster = Cluster(self._api, self._settings, phase, names.installation(self._settings.owner, home))
        self._cluster.start()

    async def find(self, run: RunDirectory) -> JobWorker | None:
        try:
            found = await self._of(run).jobs_of(run)
        except ApiRefused as error:
            raise refusals.of_call(error, "list", "jobs") from None
        if not found:
            return None
        newest = max(found, key=lambda job: (not over(job), job["metadata"]["creationTimestamp"]))
        for job in found:
            if job is not newest:
                await self._of(run).delete(job["metadata"]["name"], job["metadata"]["uid"])
        await self._meet(newest)
        return JobWorker(run, newest, self._of(run))

    async def adopt(self, run: RunDirectory) -> JobWorker | None:
        await asyncio.sleep(
            _ASK_AGAIN_S
        )  # `find` was asked, and is asked again: calls cost more than a look at a lock
        return None

    async def launch(self, run: RunDirectory, lock: int) -> JobWorker | Unlaunched:
        cluster = self._of(run)
        name = names.job_name(run, cluster.installed)
        words = await asyncio.to_thread(last_words, run)
        try:
            made = jobs.job(run, name, cluster.installed, self._settings, await cluster.owner())
            made["metadata"]["annotations"][AFTER] = str(words.last_sequence)
            job = await self._create(run, made)
            if job is None:
                return Unlaunched()
            await self._meet(job)
        except ApiRefused as error:
            raise refusals.of_call(error, "create", "jobs") from None
        return JobWorker(run, job, cluster)

    async def sweep(self, home: Path, phase: str) -> None:
        """Jobs of runs that are final, or whose directory is gone. A run that goes on keeps its own."""
        cluster = self._cluster
        for job in await cluster.all_jobs() if cluster is not None else ():
            run_id = (job["metadata"].get("annotations") or {}).get(names.RUN_ID, "")
            if cluster is not None and await asyncio.to_thread(_is_over, home, run_id, phase):
                _log.info(
                    "Job %s is of run %r, which is over or gone: it is deleted", job["metadata"]["name"], run_id
                )
                await cluster.delete(job["metadata"]["name"], job["metadata"]["uid"])

    async def close(self) -> None:
        if self._cluster is not None:
            await self._cluster.close()

    async def _create(self, run: RunDirectory, made: Object) -> Object | None:
        """The Job under this name, made by us or by another; None when the run is cancelled before."""
        name, began, pause, said = made["metadata"]["name"], time.monotonic(), Pause(), ""
        while True:
            if await asyncio.to_thread(run.cancel_requested) is not None:
                return None
            try:
                return await self._api.once("batch", "create_namespaced_job", self._api.namespace, made)
            except ApiRefused as error:
                if error.status == 409 and error.reason == "AlreadyExists":
                    existing = await self._of(run).job(name)
                    if existing is not None:
                        return existing
                    continue
                quota = error.status == 403 and "exceeded quota" in error.message
                if not (error.passes or quota):
                    raise
                waited = time.monotonic() - began
                if quota and waited > self._settings.pending_timeout_s:
                    raise refusal("QUOTA_EXCEEDED", error.message, name, waited) from None
                told = error.message if quota else f"the API server does not take the Job: {error}"
                if told != said and (quota or waited > 1):
                    said = told
                    await asyncio.to_thread(say, run, f"waiting: {told}", locked=True)
                await asyncio.sleep(pause.next(error.after_s))

    async def _meet(self, job: Object) -> None:
        """The Service by which several pods find the first; also for who made the Job and died before this."""
        if job["spec"]["completions"] == 1 or over(job) or job["metadata"].get("deletionTimestamp"):
            return
        try:
            await self._api.call("core", "create_namespaced_service", self._api.namespace, jobs.service(job))
        except ApiRefused as error:
            if error.status != 409:
                raise refusals.of_call(error, "create", "services") from None

    def _of(self, run: RunDirectory) -> Cluster:
        if self._cluster is None:
            installed = names.installation(self._settings.owner, run.home)
            self._cluster = Cluster(self._api, self._settings, run.phase, installed)
            self._cluster.start()
        return self._cluster


def _is_over(home: Path, run_id: str, phase: str) -> bool:
    try:
        run = RunDirectory(home, run_id, phase)
    except ForgeError:  # no id of ours
        return False
    return not run.exists() or last_words(run).final
