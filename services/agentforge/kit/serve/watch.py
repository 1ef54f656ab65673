"""WatchRun: one reader per event log, shared by all who watch it.

A watcher is a position in the file. At the end of the log it takes the chunks that the tail has read and encoded
once for everybody; behind them (it starts at an early event, or its connection is slow) it reads the file by
itself. So nothing queues up for a slow watcher, nothing is dropped, and no watcher holds up another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from pathlib import Path

from agentforge.kit.errors import ForgeError, InvalidInput, Unavailable
from agentforge.kit.serve.chunks import Chunk, last_state, locate, read_chunk
from agentforge.kit.state import FINAL
from agentforge.kit.waiting import happens_within
from agentforge.v1 import event_pb2, phase_pb2

HEARTBEAT_S = 10.0
KEPT_CHUNKS = 8
_POLL_FIRST_S, _POLL_LAST_S = 0.005, 0.04  # a quiet log is looked at less often
_HEARTBEAT = phase_pb2.WatchRunResponse(events=[event_pb2.Event(heartbeat=event_pb2.Heartbeat())])


class Tail:
    """The end of one log, followed as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sequence = 0  # of the last line read
        self.final = False
        self.watchers = 0
        self._end = 0  # the byte behind that line
        self._chunks: deque[Chunk] = deque(maxlen=KEPT_CHUNKS)
        self._news = asyncio.Event()
        self._reading = asyncio.Lock()
        self._opened = False
        self._ended: ForgeError | None = None
        self._following = asyncio.create_task(self._follow(), name=f"follow {path}")

    async def watch(self, after: int, heartbeat_s: float) -> AsyncGenerator[bytes]:
        """Encoded WatchRunResponses: events after `after`, CaughtUp, live events; ends when the run is final."""
        await self._catch_up()
        goal = self.sequence  # what was written before the call
        offset, sequence = await asyncio.to_thread(locate, self.path, after, self._end)
        if sequence < after:
            raise _beyond(after, sequence)
        told = False
        while True:
            if not told and sequence >= goal:
                told = True
                yield _caught_up(sequence)
            news = self._news  # taken before looking, so that none is missed
            chunk = await self._chunk_at(offset, sequence)
            if chunk is not None:
                yield await asyncio.to_thread(chunk.encoded) if chunk.is_raw else chunk.encoded()
                offset, sequence = chunk.end, chunk.last
            elif self._ended is not None:
                raise self._ended
            elif self.final:
                return
            elif not await happens_within(news, heartbeat_s):
                yield _HEARTBEAT.SerializeToString()

    def end(self, why: ForgeError) -> None:
        """Let all watchers have what is read, then end their streams with this error."""
        self._ended = self._ended or why
        self._announce()

    async def close(self) -> None:
        self._following.cancel()
        await asyncio.wait([self._following])

    async def _follow(self) -> None:
        pause = _POLL_FIRST_S
        try:
            await self._catch_up()
            while self._ended is None:
                await asyncio.sleep(pause)
                pause = _POLL_FIRST_S if await self._advance() else min(pause * 1.5, _POLL_LAST_S)
                await self._catch_up()
        except ForgeError as error:
            self.end(error)
        except OSError as error:
            self.end(Unavailable(f"{self.path} cannot be read: {error.strerror}", field=str(self.path)))

    async def _catch_up(self) -> None:
        if not self._opened:
            await self._open()
        while await self._advance():
            pass

    async def _open(self) -> None:
        """Begin at the end: what is before it, each watcher reads for itself."""
        async with self._reading:
            if not self._opened:
                self._end, self.sequence = await asyncio.to_thread(locate, self.path, None)
                self.final = await asyncio.to_thread(last_state, self.path, self._end) in FINAL
                self._opened = True

    async def _advance(self) -> bool:
        async with self._reading:
            chunk = await asyncio.to_thread(read_chunk, self.path, self._end, self.sequence)
            if chunk is None:
                return False
            state = await asyncio.to_thread(chunk.last_state)
            self.final = state in FINAL if state else self.final
            self._end, self.sequence = chunk.end, chunk.last
            self._chunks.append(chunk)
            self._announce()
            return True

    async def _chunk_at(self, offset: int, sequence: int) -> Chunk | None:
        if offset >= self._end:
            return None
        for chunk in reversed(self._chunks):
            if chunk.start == offset:
                return chunk
        # End where a shared chunk begins: from there on this watcher needs no reading of its own.
        limit = next((chunk.start for chunk in self._chunks if chunk.start > offset), self._end)
        return await asyncio.to_thread(read_chunk, self.path, offset, sequence, limit)

    def _announce(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class Tails:
    """The tails of the logs that somebody watches now."""

    def __init__(self, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._heartbeat_s = heartbeat_s
        self._tails: dict[Path, Tail] = {}
        self._stopping = False

    @property
    def watchers(self) -> int:
        return sum(tail.watchers for tail in list(self._tails.values()))  # asked from a thread, too

    async def watch(self, path: Path, after: int) -> AsyncGenerator[bytes]:
        if self._stopping:
            raise _stopping()
        tail = self._tails.get(path)
        if tail is None:
            tail = self._tails[path] = Tail(path)
        tail.watchers += 1
        try:
            async with contextlib.aclosing(tail.watch(after, self._heartbeat_s)) as responses:
                async for response in responses:
                    yield response
        finally:
            tail.watchers -= 1
            if not tail.watchers:
                del self._tails[path]
                await tail.close()

    def end_all(self) -> None:
        """The service stops: watchers come back with the last sequence that they have."""
        self._stopping = True
        for tail in self._tails.values():
            tail.end(_stopping())


def _caught_up(sequence: int) -> bytes:
    event = event_pb2.Event(caught_up=event_pb2.CaughtUp(sequence=sequence))
    return phase_pb2.WatchRunResponse(events=[event]).SerializeToString()


def _stopping() -> Unavailable:
    return Unavailable(
        "the service is stopping; the run goes on",
        reason="SERVICE_STOPPING",
        next_step="Watch again, after the last sequence that you have.",
    )


def _beyond(after: int, last: int) -> InvalidInput:
    return InvalidInput(
        f"after_sequence is {after}, but the log of this run ends at {last}",
        reason="SEQUENCE_BEYOND_END",
        field="after_sequence",
        next_step="Watch after the last sequence that you have from this very run, or after 0.",
    )
