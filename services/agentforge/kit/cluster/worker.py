"""A worker that is a Job: what is known of it comes from the mirror of the cluster and from the run's directory."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from agentforge.kit.cluster import pods as reading
from agentforge.kit.cluster.api import Object
from agentforge.kit.cluster.cluster import Cluster
from agentforge.kit.cluster.log import LastWords, keep_tail, last_words, say
from agentforge.kit.diagnosis import EXIT_FINAL, EXIT_INTERRUPTED, Ending
from agentforge.kit.errors import ForgeError
from agentforge.kit.heartbeat import Beat, read_heartbeat
from agentforge.kit.rundir import RunDirectory

AFTER = "agentforge.dev/after-sequence"  # annotation of a Job: the log's last sequence when it was made
_log = logging.getLogger(__name__)


class JobWorker:
    def __init__(self, run: RunDirectory, job: Object, cluster: Cluster) -> None:
        self.name: str = job["metadata"]["name"]
        self.uid: str = job["metadata"]["uid"]
        self._after = int((job["metadata"].get("annotations") or {}).get(AFTER, 0))
        self._run, self._cluster, self._settings = run, cluster, cluster.settings
        self._job: Object | None = job
        self._first_beat = read_heartbeat(run.heartbeat_path)
        self._seen_at = self._looked_at = self._words_at = time.monotonic()
        self._started_at: float | None = None
        self._final_at: float | None = None
        self._gone_at: float | None = None
        self._beats = False
        self._said = ""
        self._because = ""
        self._ending: Ending | None = None
        self._deleting: asyncio.Task[None] | None = None
        cluster.jobs.put(job)

    async def ended(self, timeout_s: float) -> bool:
        """The server is asked only when something seems to have changed; the mirror is looked at each time."""
        await asyncio.sleep(timeout_s)
        now = time.monotonic()
        pods = self._cluster.pods.owned(self.uid)
        if self._started_at is None and reading.started(pods):
            self._started_at = now
        if now - self._looked_at < self._settings.look_s:
            return False
        self._looked_at = now
        await self._look_at_log(now)
        if self._started_at is None and self._deleting is None:
            await self._wait_in_words(now, pods)
        job = self._cluster.jobs.get(self.uid)
        return (job is None or reading.over(job)) and await self._confirmed(now)

    def heartbeat(self) -> Beat | None:
        beat = read_heartbeat(self._run.heartbeat_path)
        self._beats = self._beats or (beat is not None and beat != self._first_beat)
        return beat

    def waits(self) -> bool:
        """Also while its container imports and meets the others, for so long."""
        if self._started_at is None or self._deleting is not None:  # the kubelet ends what is being deleted
            return True
        return not self._beats and time.monotonic() - self._started_at < self._settings.starting_s

    def used_bytes(self) -> int:
        """Of the leading process alone, as it says itself. The container's limit is for the kubelet to hold."""
        beat = self.heartbeat()
        return beat.rss_bytes if beat is not None else 0

    def interrupt(self) -> None:
        """Deleted, its pods get SIGTERM, and SIGKILL after the template's terminationGracePeriodSeconds."""
        if self._deleting is None:
            self._deleting = asyncio.create_task(self._delete(), name=f"delete {self.name}")

    def kill(self, because: str, over_limit: tuple[int, int] | None = None) -> None:
        """The same: to kill pods at once takes a right to delete pods, which the service does not have."""
        self._because = self._because or because
        self.interrupt()

    async def close(self) -> Ending:
        words = await asyncio.to_thread(last_words, self._run, self._after)
        ending = self._how(words)
        await asyncio.to_thread(keep_tail, self._run, self.name, ending.log_tail)
        self.interrupt()
        if self._deleting is not None:
            await self._deleting
        await self._cluster.gone(self.name, self.uid)
        self._cluster.jobs.forget(self.uid)
        return ending

    def detach(self) -> None:
        if self._deleting is not None:
            self._deleting.cancel()

    def _how(self, words: LastWords) -> Ending:
        if words.final:
            return Ending(exit_code=EXIT_FINAL)
        if self._ending is not None:
            return self._ending
        if words.interrupted:
            return Ending(exit_code=EXIT_INTERRUPTED)
        if self._because:
            return Ending(killed_because=self._because)
        beat = self.heartbeat() if self._beats else None
        found = reading.ending(self._job, self.name, self._cluster.pods.owned(self.uid))
        return replace(found, last_rss_bytes=beat.rss_bytes if beat is not None else 0)

    async def _look_at_log(self, now: float) -> None:
        """Pods may wait for each other for long when the run is over already."""
        if self._deleting is not None:
            return
        if self._final_at is None:
            grown = await asyncio.to_thread(last_words, self._run, self._after)
            self._final_at = now if grown.final else None
        elif now - self._final_at > self._settings.linger_s:
            self.interrupt()

    async def _wait_in_words(self, now: float, pods: list[Object]) -> None:
        if await asyncio.to_thread(self._run.cancel_requested) is not None:
            self._ending = Ending(exit_code=EXIT_INTERRUPTED)  # nobody began: nobody has to end
            return self.interrupt()
        if now - self._words_at < self._settings.pending_words_s:
            return None
        self._words_at = now
        if reading.suspended(self._cluster.jobs.get(self.uid)):
            self._seen_at = now  # a queue (Kueue) may hold it for days
            reason, words = "", reading.SUSPENDED
        else:
            events = await self._cluster.events(self.uid, pods)
            reason, words = reading.waits_for(pods, events)
        if words and words != self._said and await asyncio.to_thread(say, self._run, f"waiting: {words}"):
            self._said = words
        too_long = now - self._seen_at > self._settings.pending_timeout_s
        if too_long or reading.hopeless(pods):
            error: ForgeError = reading.refusal(reason, words, self.name, now - self._seen_at)
            self._ending = Ending(refused=error)
            self.interrupt()
        return None

    async def _confirmed(self, now: float) -> bool:
        """By the server itself: the Job is over or gone, and no pod of it works any more."""
        self._job = await self._cluster.job(self.name, self.uid)
        if self._job is not None and not reading.over(self._job):
            self._cluster.jobs.put(self._job)
            return False
        at_work = [pod for pod in await self._cluster.pods_of(self.uid, self.name) if reading.works(pod)]
        self._gone_at = self._gone_at or now
        if at_work and now - self._gone_at < self._settings.lost_pod_s:
            return False
        for pod in at_work:  # of a node that nobody can ask: should it still work, it has the LOCK
            _log.warning("pod %s does not end; its node may be lost", pod["metadata"]["name"])
        return True

    async def _delete(self) -> None:
        await self._cluster.delete(self.name, self.uid)


class Unlaunched:
    """In place of a worker: the run was cancelled before there was one."""

    async def ended(self, timeout_s: float) -> bool:
        return True

    def heartbeat(self) -> None:
        return None

    def waits(self) -> bool:
        return True

    def used_bytes(self) -> int:
        return 0

    def interrupt(self) -> None:
        pass

    def kill(self, because: str, over_limit: tuple[int, int] | None = None) -> None:
        pass

    async def close(self) -> Ending:
        return Ending(exit_code=EXIT_INTERRUPTED)

    def detach(self) -> None:
        pass
