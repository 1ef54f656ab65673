"""A cancel that may come at any moment, and services that may be away for a while."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from agentforge.kit.errors import ForgeError, NotFound, RunCancelled, Unavailable
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.waiting import happens_within
from agentforge_gateway.journal import Journal
from agentforge_gateway.links import Link
from agentforge_gateway.models import State

_CANCEL_POLL_S = 0.25  # another gateway, or somebody with the volume alone, may write CANCEL.json
_PAUSE_FIRST_S, _PAUSE_LAST_S = 0.1, 5.0
_CANCEL_PATIENCE_S = 30.0  # how long a cancelled run waits for the service of a worker that still runs

log = logging.getLogger("agentforge.gateway")
T = TypeVar("T")


class Cancellation:
    """Whether the run is to stop, and why."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._asked = asyncio.Event()
        self.reason = ""

    def __bool__(self) -> bool:
        return self._asked.is_set()

    def look(self) -> None:
        """CANCEL.json may just have been written."""
        try:
            reason = self._journal.directory.cancel_requested()
        except ForgeError as error:  # half a file on a full disk: whoever cancels is told, the run goes on
            log.warning("run %s: %s", self._journal.run.run_id, error)
            return
        if reason is not None and not self:
            self.reason = reason or "cancelled"
            self._asked.set()

    async def poll(self) -> None:
        while not self:
            self.look()
            if not self:
                await self.wait(_CANCEL_POLL_S)
        if self._journal.run.state is State.RUNNING:
            await self._journal.say(State.CANCELLING, self.reason)

    async def wait(self, seconds: float) -> None:
        await happens_within(self._asked, seconds)

    async def pass_on(self, link: Link) -> None:
        """Tell the phase that runs, once the run is cancelled."""
        await self._asked.wait()
        while True:
            try:
                await link.cancel(self._journal.run.run_id, self.reason)
                return
            except NotFound:
                return
            except Unavailable:
                await asyncio.sleep(1.0)
            except ForgeError as error:
                await self._journal.note(f"{link.name} does not take the cancellation: {error}", phase=link.name)
                return


class Patience:
    """Calls a phase service again and again while it is away, within the time that the settings give."""

    def __init__(self, journal: Journal, cancellation: Cancellation, home: Path, timeout_s: float) -> None:
        self._journal = journal
        self._cancellation = cancellation
        self._home = home
        self._timeout_s = timeout_s
        self._away_since: float | None = None

    async def call(self, link: Link, method: Callable[[], Awaitable[T]]) -> T:
        pause = _PAUSE_FIRST_S
        while True:
            try:
                result = await method()
            except Unavailable as error:
                pause = _PAUSE_FIRST_S if self._away_since is None else min(2 * pause, _PAUSE_LAST_S)
                await self._absent(link, error)
                if self._cancellation:
                    await asyncio.sleep(pause)
                else:
                    await self._cancellation.wait(pause)
            else:
                await self.heard(link)
                return result

    async def heard(self, link: Link) -> None:
        """The service is there; if it was away, the log says so."""
        if self._away_since is not None:
            self._away_since = None
            await self._journal.note(f"{link.name} is back", phase=link.name, level="LEVEL_INFO")

    async def _absent(self, link: Link, error: Unavailable) -> None:
        now = asyncio.get_running_loop().time()
        if self._away_since is None:
            self._away_since = now
            note = f"{error.message}; waiting for it, at most {self._timeout_s:g} s"
            await self._journal.note(note, phase=link.name)
        patience = self._timeout_s
        if self._cancellation:
            self._stop_without(link)
            patience = min(patience, _CANCEL_PATIENCE_S)
        if now - self._away_since > patience:
            self._give_up(link, error, now - self._away_since)

    def _stop_without(self, link: Link) -> None:
        """A worker reads CANCEL.json by itself; where none is at work there is nothing to wait for."""
        directory = RunDirectory(self._home, self._journal.run.run_id, link.name)
        if directory.exists():
            directory.request_cancel(self._cancellation.reason)
            if directory.is_locked():
                return
        raise RunCancelled(self._cancellation.reason)

    def _give_up(self, link: Link, error: Unavailable, seconds: float) -> NoReturn:
        raise Unavailable(
            f"the {link.name} service at {link.target} was away for {seconds:.0f} s: {error.message}",
            reason="PHASE_UNREACHABLE",
            field=link.name,
            next_step=f"Start it (`agentforge serve {link.name}`), then resume the run.",
        )
