"""The record of one pipeline run while it is sequenced: its log first, then the row in the database."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from agentforge.kit.errors import ForgeError, Unavailable
from agentforge.kit.events import Entry, EventLog, Record
from agentforge.kit.rundir import RunDirectory, write_ballast
from agentforge_gateway.fold import Fold, read_run
from agentforge_gateway.models import Run, State
from agentforge_gateway.store import Store
from agentforge_gateway.tail import Tails

PIPELINE = "pipeline"
"""The reserved phase name of the sequencer's own run directories."""

_SAVE_EVERY = 0.5  # seconds, for progress; states are saved at once
_DATABASE_PAUSE = 1.0

log = logging.getLogger("agentforge.gateway")


class Journal:
    """Writes the log of one run, whose LOCK its maker holds, and keeps the run's state from it."""

    def __init__(self, directory: RunDirectory, store: Store, tails: Tails, events: EventLog, fold: Fold) -> None:
        self.directory = directory
        self.fold = fold
        self.reuse_keys: dict[str, str] = {}
        self._store = store
        self._tails = tails
        self._events = events
        self._turn = asyncio.Lock()  # records are folded in the order in which they stand in the log
        self._saved_at = 0.0
        self._saved = True

    @classmethod
    async def open(cls, directory: RunDirectory, store: Store, tails: Tails) -> Journal:
        """What the log says already is where the run goes on."""
        events, fold = await asyncio.to_thread(_open, directory)
        return cls(directory, store, tails, events, fold)

    @property
    def run(self) -> Run:
        return self.fold.run

    async def settled(self) -> Run:
        """The run with all that its log says by now: who saw an event in a stream finds it here."""
        async with self._turn:
            return self.run

    async def say(self, state: State, reason: str = "", error: ForgeError | None = None) -> None:
        change: dict[str, Any] = {"state": state.value, "reason": reason}
        if error is not None:
            change["error"] = {
                "reason": error.reason,
                "message": error.message,
                "field": error.field,
                "next_step": error.next_step,
            }
        await self.write([("state_changed", change)])

    async def note(self, message: str, *, phase: str = "", level: str = "LEVEL_WARNING") -> None:
        await self.write([("log", {"level": level, "message": message})], phase=phase)

    async def write(self, payloads: Sequence[tuple[str, Mapping[str, Any]]], *, phase: str = "") -> None:
        """Events of the gateway itself, about the run or about one of its phases."""
        attempt = max(1, self.run.phase(phase).attempt) if phase else self.fold.attempt
        await _whole(self._write(payloads, phase, attempt))

    async def copy(self, phase: str, records: Sequence[Record]) -> None:
        """Events of a phase's own log; those that were copied before are passed over."""
        await _whole(self._copy(phase, records))

    async def close(self) -> None:
        """Leave nothing unsaved, however long the database is away; but a gateway that stops does not wait for it.

        The log has it all in any case, and the next gateway brings the row up to date.
        """
        try:
            while not self._saved:
                await self.save()
                if not self._saved:
                    if (task := asyncio.current_task()) is not None and task.cancelling():
                        return
                    await asyncio.sleep(_DATABASE_PAUSE)
        finally:
            await asyncio.to_thread(self._events.close)

    async def save(self) -> None:
        """Bring the row up to date. A database that is away stops no run: close() tries again."""
        self._saved_at = time.monotonic()
        try:
            await self._store.save(self.run, self.reuse_keys)
            self._saved = True
        except Unavailable as error:
            self._saved = False
            log.warning("run %s is not saved, will try again: %s", self.run.run_id, error)

    async def _write(self, payloads: Sequence[tuple[str, Mapping[str, Any]]], phase: str, attempt: int) -> None:
        async with self._turn:
            await self._take(await asyncio.to_thread(self._append, payloads, phase, attempt))

    async def _copy(self, phase: str, records: Sequence[Record]) -> None:
        async with self._turn:
            seen = self.fold.copied[phase]
            fresh = [record for record in records if record["sequence"] > seen]
            if fresh:
                await self._take(await asyncio.to_thread(self._events.copy, fresh))

    async def _take(self, records: Sequence[Record]) -> None:
        self.fold.feed(records)
        self._saved = False
        self._tails.nudge(self.directory.log_path)
        weighty = any("state_changed" in record or "artifact_produced" in record for record in records)
        if weighty or time.monotonic() - self._saved_at > _SAVE_EVERY:
            await self.save()

    def _append(self, payloads: Sequence[tuple[str, Mapping[str, Any]]], phase: str, attempt: int) -> list[Record]:
        self._events.phase = phase
        return self._events.append_batch([Entry(name, payload, attempt) for name, payload in payloads])


def _open(directory: RunDirectory) -> tuple[EventLog, Fold]:
    write_ballast(directory.path)
    events = EventLog(directory.log_path, "")
    try:
        return events, read_run(directory.request(), directory.log_path)
    except BaseException:
        events.close()
        raise


async def _whole(work: Coroutine[Any, Any, None]) -> None:
    """A cancelled task still finishes the line that it writes: the log and the state must not part."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
