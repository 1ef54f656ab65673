"""One run under supervision: what became of its last worker, and whether it gets another one."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from agentforge.kit import failures, state
from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.diagnosis import EXIT_LOCK_HELD, Ending, log_tail
from agentforge.kit.errors import ForgeError
from agentforge.kit.files import disk_errors, write_atomic
from agentforge.kit.reading import EventReader
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.state import RunSummary

if TYPE_CHECKING:
    from agentforge.kit.launch import RunningWorker
    from agentforge.kit.supervise import SupervisorSettings


class SupervisedRun:
    """What `queue`, `settle` and `fail` write is written under the run's LOCK, which the caller holds."""

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.ending: Ending | None = None  # of our last worker, until `settle` has dealt with it
        self.deaths = 0  # in a row without a newer checkpoint
        self._summary = RunSummary()
        self._reader = EventReader(directory.log_path)
        self._deaths_path = directory.path / "deaths.json"
        self._checkpoints = Checkpoints(directory.checkpoints_path)
        self.watching_begins()
        self.read()

    @property
    def final(self) -> bool:
        return self._summary.final

    @property
    def last_sequence(self) -> int:
        return self._summary.last_sequence

    def read(self) -> bool:
        """Take in what the log says by now; whether the run is final."""
        while records := self._reader.poll():
            self._summary.feed(records)
        return self.final

    def watching_begins(self) -> None:
        self.beat = -1
        self.beat_at = time.monotonic()
        self.cancelled_at: float | None = None

    def queue(self, retry: bool) -> None:
        """The first event of a new run; or reopen one that ended without outputs."""
        self.read()
        if self.last_sequence == 0:
            self._state(state.QUEUED)
        elif retry and self._summary.state in (state.FAILED, state.CANCELLED):
            self.directory.clear_cancel()
            with disk_errors(self._deaths_path):
                self._deaths_path.unlink(missing_ok=True)
            self._state(state.QUEUED, "asked to try again")

    def settle(self, max_deaths: int) -> bool:
        """Say what became of the last worker. True when that ends the run, false when it needs a worker."""
        if self.read():
            return True
        if self.directory.done() is not None:  # its worker died between DONE.json and the word of it
            return self._state(state.SUCCEEDED)
        died = self._unsettled_death()
        cancelled = self.directory.cancel_requested()
        if cancelled is not None:
            how = f" (the worker {died.how})" if died is not None else ""
            return self._state(state.CANCELLED, f"{cancelled}{how}".strip())
        if died is None:
            return False
        self.deaths = self._count_death()
        if died.refused is not None or died.out_of_memory or self.deaths >= max_deaths:
            return self.fail(died.error(self.directory.phase, self.deaths))
        return self._state(state.QUEUED, f"the worker {died.how}; it is started again, from its last checkpoint")

    def fail(self, error: ForgeError) -> bool:
        return self._state(state.FAILED, error.message.partition("\n")[0], failures.detail(error))

    def _unsettled_death(self) -> Ending | None:
        ending, self.ending = self.ending, None
        if ending is not None:
            return None if ending.interrupted or ending.exit_code == EXIT_LOCK_HELD else ending
        if self._summary.state in (state.RUNNING, state.CANCELLING):  # nobody has the LOCK, so nobody runs
            return Ending(log_tail=log_tail(self.directory.worker_log_path))
        return None

    def _count_death(self) -> int:
        """On disk: a worker that takes its service with it (a pod out of memory) must not do so for ever."""
        step = self._checkpoints.newest_step()
        at = -1 if step is None else step
        before = {"in_a_row": 0, "checkpoint": -1}
        if self._deaths_path.exists():
            before = json.loads(self._deaths_path.read_bytes())
        count = 1 if at > before["checkpoint"] else before["in_a_row"] + 1
        write_atomic(self._deaths_path, json.dumps({"in_a_row": count, "checkpoint": at}).encode())
        return count

    def _state(self, name: str, reason: str = "", error: dict[str, Any] | None = None) -> bool:
        """Append it; whether it is final."""
        payload = {"state": name, "reason": reason} | ({"error": error} if error else {})
        with self.directory.open_log() as log:
            log.append("state_changed", payload, self._summary.attempt)
        return self.read()


def look_after(run: SupervisedRun, worker: RunningWorker, settings: SupervisorSettings) -> None:
    """A few times a second: kill a worker that does not stop, does not live, or holds too much memory."""
    now = time.monotonic()
    if run.cancelled_at is None and run.directory.cancel_requested() is not None:
        run.cancelled_at = now
    if run.cancelled_at is not None and now - run.cancelled_at > settings.grace_s:
        worker.kill(f"it did not stop within {settings.grace_s:g} s of the request to cancel")
    beat = worker.heartbeat()
    if beat is not None and beat.beat != run.beat:
        run.beat, run.beat_at = beat.beat, now
    elif worker.waits():
        run.beat_at = now
    if now - run.beat_at > settings.hung_after_s:
        worker.kill(f"it gave no heartbeat for {settings.hung_after_s:g} s")
    limit = settings.memory_limit_bytes
    if limit is not None and (used := worker.used_bytes()) > limit:
        worker.kill(f"its memory passed the limit of {limit:,} bytes", (used, limit))
