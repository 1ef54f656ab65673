"""What a service knows of past and present runs: read from their logs, a bounded number kept in memory."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Collection
from pathlib import Path

from agentforge.kit.errors import InvalidInput
from agentforge.kit.events import EventReader
from agentforge.kit.rundir import RunDirectory, RunRequest, list_runs
from agentforge.kit.serve import pages
from agentforge.kit.state import RunSummary
from agentforge.v1 import phase_pb2

KEPT_RUNS = 256


class _Known:
    """The summary of one run, brought up to date by reading only what is new in its log."""

    def __init__(self, run: RunDirectory) -> None:
        self.request: RunRequest = run.request()
        self._reader = EventReader(run.log_path)
        self._summary = RunSummary()
        self._lock = threading.Lock()

    def fresh(self) -> RunSummary:
        with self._lock:
            while records := self._reader.poll():
                self._summary.feed(records)
            return self._summary


class Runs:
    """Of one phase on one volume."""

    def __init__(self, home: Path, phase: str) -> None:
        self._home = home
        self._phase = phase
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def directory(self, run_id: str) -> RunDirectory:
        """Of a run that need not exist."""
        return RunDirectory(self._home, run_id, self._phase)

    async def get(self, run: RunDirectory) -> phase_pb2.Run:
        return await asyncio.to_thread(self._read, run)

    async def page(self, size: int, token: str, states: Collection[int]) -> tuple[list[phase_pb2.Run], str]:
        """Newest first, and the token of the next page; empty at the end."""
        scope = sorted(set(states))
        return await asyncio.to_thread(
            self._page, pages.check_page_size(size), pages.read_token(token, scope), scope
        )

    def _page(self, size: int, after: str, scope: list[int]) -> tuple[list[phase_pb2.Run], str]:
        found: list[phase_pb2.Run] = []
        for run in _behind(list_runs(self._home, self._phase), after):
            known = self._read(run)
            if scope and known.state not in scope:
                continue
            if len(found) == size:
                return found, pages.make_token(found[-1].run_id, scope)
            found.append(known)
        return found, ""

    def _read(self, run: RunDirectory) -> phase_pb2.Run:
        known = self._remember(run)
        return known.fresh().to_proto(run.run_id, run.phase, known.request)

    def _remember(self, run: RunDirectory) -> _Known:
        with self._lock:
            known = self._known.get(run.run_id)
            if known is not None:
                self._known.move_to_end(run.run_id)
        if known is not None and run.exists():
            return known
        known = _Known(run)
        with self._lock:
            self._known[run.run_id] = known
            while len(self._known) > KEPT_RUNS:
                self._known.popitem(last=False)
        return known


def _behind(runs: list[RunDirectory], run_id: str) -> list[RunDirectory]:
    if not run_id:
        return runs
    for index, run in enumerate(runs):
        if run.run_id == run_id:
            return runs[index + 1 :]
    raise InvalidInput(
        f"page_token cannot be used: run {run_id!r}, where the last page ended, is gone",
        reason="INVALID_PAGE_TOKEN",
        field="page_token",
        next_step="Start again without page_token.",
    )
