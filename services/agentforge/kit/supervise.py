"""Keeps the runs of a service going: exactly one worker each, restarted when it dies, stopped when asked."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agentforge.kit import supervision
from agentforge.kit.diagnosis import EXIT_FINAL, EXIT_INTERRUPTED, EXIT_LOCK_HELD
from agentforge.kit.errors import ForgeError
from agentforge.kit.launch import Launcher, RunningWorker
from agentforge.kit.rundir import RunDirectory, list_runs
from agentforge.kit.supervision import SupervisedRun
from agentforge.kit.waiting import happens_within

_NO_DEATH = (EXIT_FINAL, EXIT_INTERRUPTED, EXIT_LOCK_HELD)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    grace_s: float = 30.0  # from the request to stop until the worker and its children are killed
    hung_after_s: float = 60.0  # without a heartbeat
    max_deaths: int = 3  # in a row without a newer checkpoint; then the run is FAILED
    backoff_s: float = 0.2  # before the first restart, doubled for each further one
    poll_s: float = 0.2  # how often cancel, heartbeat and memory are looked at
    memory_limit_bytes: int | None = None  # resident memory of one worker with its children


class RunSupervisor:
    """One per service. Any number of them, in any processes, may look after the same run: its LOCK decides."""

    def __init__(
        self,
        launcher: Launcher,
        settings: SupervisorSettings | None = None,
        on_start: Callable[[RunDirectory], None] | None = None,
    ) -> None:
        self.deaths = 0  # workers that a fault ended, or that had to be killed, since this supervisor began
        self._on_start = on_start  # told of each run that is taken up
        self._launcher = launcher
        self._settings = settings or SupervisorSettings()
        self._tasks: dict[Path, asyncio.Task[None]] = {}
        self._workers: dict[Path, RunningWorker] = {}
        self._closing = asyncio.Event()

    @property
    def active(self) -> tuple[Path, ...]:
        """Directories of the runs that are being looked after."""
        return tuple(self._tasks)

    async def start(self, run: RunDirectory, *, retry: bool = False) -> None:
        """Bring the run forward until it is final. `retry` reopens one that ended FAILED or CANCELLED.

        On return its log has at least its first event. A run that is under way is left alone.
        """
        task = self._tasks.get(run.path)
        if task is not None:
            if not (retry and await asyncio.to_thread(lambda: SupervisedRun(run).final)):
                return
            await asyncio.wait([task])  # its last worker is being cleared away
        supervised = await asyncio.to_thread(_opened, run, retry)
        if supervised.final or self._closing.is_set() or run.path in self._tasks:
            return
        task = asyncio.create_task(self._tend(supervised), name=f"tend {run.run_id}/{run.phase}")
        self._tasks[run.path] = task
        task.add_done_callback(lambda _: self._tasks.pop(run.path, None))
        if self._on_start is not None:
            self._on_start(run)

    async def adopt_all(self, home: Path, phase: str) -> int:
        """At a service's start: take up every unfinished run of its phase; how many there are."""
        unfinished = await asyncio.to_thread(_unfinished, home, phase)
        for run in unfinished:
            await self.start(run)
        await self._launcher.sweep(home, phase)
        return len(unfinished)

    async def cancel(self, run: RunDirectory, reason: str) -> None:
        """Ask the run to stop. It ends CANCELLED, by itself within the grace period or else by force."""
        if await asyncio.to_thread(_request_cancel, run, reason):
            await self.start(run)

    async def wait(self, run: RunDirectory) -> None:
        """Until this supervisor has nothing more to do for the run."""
        task = self._tasks.get(run.path)
        if task is not None:
            await asyncio.wait([task])

    async def close(self, *, interrupt_workers: bool = False) -> None:
        """Let go of all runs. Their workers go on, or are interrupted; the next supervisor takes over."""
        self._closing.set()
        tasks = list(self._tasks.values())
        if interrupt_workers and tasks:
            for worker in self._workers.values():
                worker.interrupt()
            await asyncio.wait(tasks, timeout=self._settings.grace_s)
            for worker in self._workers.values():
                worker.kill(f"it did not stop within {self._settings.grace_s:g} s of the service's end")
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _tend(self, run: SupervisedRun) -> None:
        try:
            while (worker := await self._worker_for(run)) is not None:
                await self._watch(run, worker)
        except ForgeError as error:  # the volume is full or read-only: nothing can be written about it there
            _log.error("run %s of %s is left alone: %s", run.directory.run_id, run.directory.phase, error)
        except Exception:
            _log.exception("run %s of %s is left alone", run.directory.run_id, run.directory.phase)

    async def _worker_for(self, run: SupervisedRun) -> RunningWorker | None:
        """Launch a worker or adopt one; None when the run is final or this supervisor closes."""
        while not self._closing.is_set():
            worker = await self._launcher.find(run.directory)
            if worker is not None:
                run.watching_begins()
                return worker
            lock = run.directory.try_lock()
            if lock is not None:
                try:
                    return await self._launch(run, lock)
                finally:
                    os.close(lock)
            if await asyncio.to_thread(run.read):
                return None
            worker = await self._launcher.adopt(run.directory)
            if worker is not None:
                run.watching_begins()
                return worker
            await happens_within(
                self._closing, self._settings.poll_s
            )  # it is about to start, on another machine, or being ended
        return None

    async def _launch(self, run: SupervisedRun, lock: int) -> RunningWorker | None:
        """With the LOCK: say what became of the last worker, and start the next one if there is to be one."""
        if await asyncio.to_thread(run.settle, self._settings.max_deaths):
            return None
        if run.deaths:
            await self._back_off(run, self._settings.backoff_s * 2 ** (run.deaths - 1))
            if await asyncio.to_thread(run.settle, self._settings.max_deaths):  # cancelled in between
                return None
        if self._closing.is_set():
            return None
        run.watching_begins()
        try:
            return await self._launcher.launch(run.directory, lock)
        except ForgeError as error:  # no memory for a process, no space for its log
            await asyncio.to_thread(run.fail, error)
            return None

    async def _back_off(self, run: SupervisedRun, seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while (left := end - asyncio.get_running_loop().time()) > 0 and not self._closing.is_set():
            if run.directory.cancel_requested() is not None:
                return
            await happens_within(self._closing, min(left, self._settings.poll_s))

    async def _watch(self, run: SupervisedRun, worker: RunningWorker) -> None:
        self._workers[run.directory.path] = worker
        try:
            while not await worker.ended(self._settings.poll_s):
                supervision.look_after(run, worker, self._settings)
            run.ending = await worker.close()
            self.deaths += run.ending.exit_code not in _NO_DEATH
        except BaseException:  # also an error of ours: what we do not watch any more must not hold our descriptors
            worker.detach()
            raise
        finally:
            del self._workers[run.directory.path]


def _opened(run: RunDirectory, retry: bool) -> SupervisedRun:
    supervised = SupervisedRun(run)
    if supervised.last_sequence == 0 or (retry and supervised.final):
        lock = run.try_lock()
        if lock is not None:  # else another supervisor does the same at this moment
            try:
                supervised.queue(retry)
            finally:
                os.close(lock)
    return supervised


def _unfinished(home: Path, phase: str) -> list[RunDirectory]:
    """Oldest first: in the order in which they were asked for."""
    found = [run for run in list_runs(home, phase) if not SupervisedRun(run).final]
    return found[::-1]


def _request_cancel(run: RunDirectory, reason: str) -> bool:
    if SupervisedRun(run).final:
        return False
    run.request_cancel(reason)
    return True
