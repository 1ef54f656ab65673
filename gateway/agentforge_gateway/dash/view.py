"""A run as its pages show it: read from its log once, then followed while somebody looks."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from agentforge.kit.errors import NotFound
from agentforge.kit.reading import EventReader
from agentforge.kit.rundir import RunDirectory
from agentforge_gateway.dash.series import History, PhaseHistory
from agentforge_gateway.fold import Fold, new_run
from agentforge_gateway.journal import PIPELINE
from agentforge_gateway.models import PhaseRun, Run

_KEPT = 32  # runs whose logs are held in memory
T = TypeVar("T")


class RunView:
    """`version` counts what was read: a page is drawn anew when it has risen."""

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.version = 0
        self._fold = Fold(new_run(directory.request()))
        self.history = History([phase.phase for phase in self.run.phases])
        self._reader = EventReader(directory.log_path)
        self._lock = asyncio.Lock()
        self._drawn: dict[str, tuple[int, object]] = {}

    @property
    def run(self) -> Run:
        return self._fold.run

    def phase(self, name: str) -> tuple[PhaseRun, PhaseHistory]:
        if name not in self.history.phases:
            message = f"run {self.run.run_id!r} has no phase {name[:64]!r}"
            step = f"It has: {', '.join(self.history.phases)}."
            raise NotFound(message, reason="UNKNOWN_PHASE", field="phase", next_step=step)
        return self.run.phase(name), self.history.phases[name]

    def place(self, phase: str) -> Path:
        """The phase's own directory, also where its outputs were reused from another run."""
        of = self.run.phase(phase).reused_from or self.run.run_id
        return RunDirectory(self.directory.home, of, phase).path

    async def once(self, key: str, draw: Callable[[], Awaitable[T]]) -> T:
        """What `draw` gives, made once for all who look at the run as it is now."""
        version, drawn = self._drawn.get(key, (-1, None))
        if version != self.version:
            at = self.version
            drawn = await draw()
            self._drawn[key] = (at, drawn)
        return drawn  # type: ignore[return-value]  # of the same key, so of the same type

    async def follow(self) -> None:
        """Take in what the log says by now."""
        async with self._lock:
            while records := await asyncio.to_thread(self._reader.poll):
                self._fold.feed(records)
                self.history.feed(records)
                self.version += 1


class Views:
    """The runs that are looked at, the least recently used of them forgotten."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._views: OrderedDict[str, RunView] = OrderedDict()

    async def get(self, run_id: str) -> RunView:
        """Up to date."""
        view = self._views.get(run_id)
        if view is None:
            directory = RunDirectory(self._home, run_id, PIPELINE)
            view = self._views.setdefault(run_id, await asyncio.to_thread(RunView, directory))
        self._views.move_to_end(run_id)
        while len(self._views) > _KEPT:
            self._views.popitem(last=False)
        await view.follow()
        return view
