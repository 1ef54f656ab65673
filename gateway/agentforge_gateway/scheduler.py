"""Which runs are sequenced now: the oldest first, so many at once, and each by one gateway only."""

from __future__ import annotations

import asyncio
import logging
import os
import time

from agentforge.kit.errors import ForgeError
from agentforge.kit.rundir import RunDirectory, list_runs
from agentforge.kit.waiting import happens_within
from agentforge.track.start import start_followers
from agentforge_gateway.fold import Fold, read_run
from agentforge_gateway.journal import PIPELINE, Journal
from agentforge_gateway.models import Run
from agentforge_gateway.sequencer import Sequencer, Surroundings
from agentforge_gateway.tail import Tails

_SWEEP_S = 2.0  # how soon a run is taken over whose gateway died
_HOLD_S = 10.0  # a run whose log cannot be written (disk full) is tried again after this

log = logging.getLogger("agentforge.gateway")


class Scheduler:
    def __init__(self, around: Surroundings, tails: Tails, limit: int, only_run: str | None = None) -> None:
        self._around = around
        self._tails = tails
        self._limit = limit
        self._only_run = only_run  # None: all runs
        self._active: dict[str, tuple[Sequencer | None, asyncio.Task[None]]] = {}
        self._held: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._adopt()
        self._loop = asyncio.create_task(self._forever())

    async def stop(self) -> None:
        """Let go of all runs. Their phases work on; the next gateway goes on with them."""
        tasks = [task for _, task in self._active.values()]
        tasks += [self._loop] if self._loop else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self, run_id: str = "") -> None:
        """Something was queued, or the run was asked to stop."""
        sequencer = self._active[run_id][0] if run_id in self._active else None
        if sequencer is not None:
            sequencer.cancellation.look()
        self._held.pop(run_id, None)
        self._wake.set()

    async def live(self, run_id: str) -> Run | None:
        """The run as it is this instant, when it is sequenced here."""
        sequencer = self._active[run_id][0] if run_id in self._active else None
        return await sequencer.journal.settled() if sequencer else None

    @property
    def active(self) -> int:
        return len(self._active)

    async def _forever(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._sweep()
            except (ForgeError, OSError) as error:
                log.warning("the queue cannot be looked at now, will try again: %s", error)
            await happens_within(self._wake, _SWEEP_S)

    async def _sweep(self) -> None:
        for run_id in await self._around.store.ids(unfinished=True):
            if run_id in self._active or self._held.get(run_id, 0.0) > time.monotonic():
                continue
            if self._only_run not in (None, run_id):
                continue
            directory = RunDirectory(self._around.home, run_id, PIPELINE)
            if len(self._active) >= self._limit and directory.cancel_requested() is None:
                continue  # a cancelled run needs no place in the queue to say so
            if not directory.exists():
                log.error("run %s is in the database, but %s is gone", run_id, directory.path)
                self._held[run_id] = time.monotonic() + 60 * _HOLD_S
                continue
            lock = await asyncio.to_thread(directory.try_lock)
            if lock is not None:  # else another gateway has it
                self._active[run_id] = (None, asyncio.create_task(self._sequence(directory, lock)))

    async def _sequence(self, directory: RunDirectory, lock: int) -> None:
        run_id = directory.run_id
        try:
            journal = await Journal.open(directory, self._around.store, self._tails)
            try:
                sequencer = Sequencer(journal, self._around)
                self._active[run_id] = (sequencer, self._active[run_id][1])
                await asyncio.to_thread(start_followers, self._around.home, run_id)
                await sequencer.run()
            finally:
                await journal.close()
        except Exception as error:  # a bug in one run must not stop the others, nor spin
            self._held[run_id] = time.monotonic() + _HOLD_S
            trace = None if isinstance(error, ForgeError | OSError) else error
            log.error("run %s cannot go on, next try in %g s: %s", run_id, _HOLD_S, error, exc_info=trace)
        finally:
            del self._active[run_id]
            os.close(lock)
            self._wake.set()

    async def _adopt(self) -> None:
        """Runs on the volume that the database lacks: it is new, or its gateway died between the two."""
        home, store = self._around.home, self._around.store
        known = set(await store.ids(unfinished=False))
        for directory in await asyncio.to_thread(list_runs, home, PIPELINE):
            if directory.run_id not in known:
                try:
                    fold = await asyncio.to_thread(_read, directory)
                    await store.add(fold.run)
                except (ForgeError, ValueError, KeyError) as error:
                    log.error("%s cannot be read and is left out: %s", directory.path, error)


def _read(directory: RunDirectory) -> Fold:
    return read_run(directory.request(), directory.log_path)
