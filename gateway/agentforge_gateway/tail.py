"""One reader per event log, shared by all who watch it.

The tail follows the end of the file and keeps the newest chunks of it, each a batch of whole lines that is encoded
once for all watchers. A watcher is a position in the file: at the end it takes the shared chunks; behind them (it
starts at an early event, or its connection is slow) it reads the file by itself. So nothing queues up in memory,
and nothing is lost.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from agentforge.kit.errors import Unavailable
from agentforge.kit.events import Record, to_proto
from agentforge.kit.state import FINAL
from agentforge.kit.waiting import happens_within
from agentforge.v1 import event_pb2

CHUNK_BYTES = 128 << 10
KEPT_CHUNKS = 8
_POLL_FIRST, _POLL_LAST = 0.005, 0.04  # seconds; a quiet log is looked at less often


@dataclass(frozen=True)
class Chunk:
    """Whole lines of the log, from byte `start` to byte `end`, that hold the events `first` to `last`."""

    start: int
    end: int
    first: int
    last: int
    lines: bytes

    @functools.cached_property
    def sse(self) -> bytes:
        """Server-sent events. A line of the log is JSON without newlines: it stands in the frame as it is."""
        lines = self.lines[:-1].split(b"\n")
        return b"".join(b"id: %d\ndata: %b\n\n" % (i, line) for i, line in enumerate(lines, self.first))

    @functools.cached_property
    def text(self) -> str:
        """One WebSocket message: {"events": [...]}, the JSON of WatchPipelineResponse."""
        return '{"events":[' + self.lines[:-1].decode().replace("\n", ",") + "]}"

    @functools.cached_property
    def events(self) -> list[event_pb2.Event]:
        return [to_proto(record) for record in self.records()]

    def records(self) -> list[Record]:
        found: list[Record] = json.loads(b"[" + self.lines[:-1].replace(b"\n", b",") + b"]")
        return found

    def after(self, sequence: int) -> Chunk | None:
        """The part behind an event; nothing when all of it comes before."""
        if sequence < self.first:
            return self
        if sequence >= self.last:
            return None
        position = 0
        for _ in range(sequence - self.first + 1):
            position = self.lines.index(b"\n", position) + 1
        return Chunk(self.start + position, self.end, sequence + 1, self.last, self.lines[position:])


@dataclass(frozen=True)
class CaughtUp:
    """All that was written when the watcher came has been given to it."""

    sequence: int


class Beat:
    """Nothing was written for a while; the stream lives."""


BEAT = Beat()
Item = Chunk | CaughtUp | Beat


class Tail:
    """Follows one log. `phase` tells whose states decide that the run is final: "" for a pipeline's own."""

    def __init__(self, path: Path, phase: str) -> None:
        self.path = path
        self.sequence = 0  # of the last line read
        self.final = False
        self.watchers = 0
        self._phase = phase
        self._end = 0
        self._chunks: deque[Chunk] = deque(maxlen=KEPT_CHUNKS)
        self._changed = asyncio.Event()
        self._wake = asyncio.Event()
        self._closed = False
        self._opened = asyncio.create_task(asyncio.to_thread(self._skip_to_end))
        self._following = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        await self._opened
        pause = _POLL_FIRST
        while not self._closed:
            if self._advance():
                pause = _POLL_FIRST
                await asyncio.sleep(0)
                continue
            self._wake.clear()
            if not await happens_within(self._wake, pause):
                pause = min(pause * 1.5, _POLL_LAST)

    def nudge(self) -> None:
        """Somebody in this process has just written: look now."""
        self._wake.set()

    def close(self) -> asyncio.Task[None]:
        """End all watches; the task that is returned ends soon."""
        self._closed = True
        self._wake.set()
        self._announce()
        return self._following

    async def watch(self, after: int, heartbeat_s: float) -> AsyncGenerator[Item, None]:
        """Chunks after an event, CaughtUp once, chunks as they come; ends when the run is final and all is told."""
        await asyncio.shield(self._opened)
        offset, sequence = await asyncio.to_thread(_locate, self.path, after)
        while self._advance():  # what was written before this call counts: a resumed run is not final any more
            pass
        goal = self.sequence
        told = False
        while not self._closed:
            while (chunk := await self._from(offset, sequence)) is not None:
                offset, sequence = chunk.end, chunk.last
                rest = chunk.after(after)
                if rest is not None:
                    yield rest
                if not told and sequence >= goal:
                    break
            if not told and sequence >= goal:
                told = True
                yield CaughtUp(max(goal, sequence))
                continue
            if self.final and offset >= self._end:
                return
            if not await self._moved(offset, heartbeat_s):
                yield BEAT

    async def _from(self, offset: int, sequence: int) -> Chunk | None:
        """The chunk that begins at a byte of the file: a shared one, or one read for this watcher alone."""
        if offset >= self._end:
            return None
        for chunk in reversed(self._chunks):
            if chunk.start == offset:
                return chunk
        limit = next((chunk.start for chunk in self._chunks if chunk.start > offset), self._end)
        return await asyncio.to_thread(self._next, offset, sequence, limit)

    async def _moved(self, offset: int, patience_s: float) -> bool:
        deadline = asyncio.get_running_loop().time() + patience_s
        while offset >= self._end and not self._closed and not self.final:
            left = deadline - asyncio.get_running_loop().time()
            if not await happens_within(self._changed, left):
                return False
        return True

    def _advance(self) -> bool:
        chunk = self._next(self._end, self.sequence)
        if chunk is None:
            return False
        self._accept(chunk)
        self._chunks.append(chunk)
        self._announce()
        return True

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _next(self, offset: int, sequence: int, limit: int | None = None) -> Chunk | None:
        lines = read_lines(self.path, offset, limit)
        if not lines:
            return None
        return Chunk(offset, offset + len(lines), sequence + 1, sequence + lines.count(b"\n"), lines)

    def _skip_to_end(self) -> None:
        while (chunk := self._next(self._end, self.sequence)) is not None:
            self._accept(chunk)

    def _accept(self, chunk: Chunk) -> None:
        self._end, self.sequence = chunk.end, chunk.last
        if b'"state_changed"' in chunk.lines:  # parsing each line would cost more than all the rest
            for line in chunk.lines.split(b"\n"):
                if b'"state_changed"' in line:
                    record = json.loads(line)
                    if "state_changed" in record and record["phase"] == self._phase:
                        self.final = record["state_changed"]["state"] in FINAL


class Tails:
    """The tails of the logs that somebody watches now."""

    def __init__(self) -> None:
        self._tails: dict[Path, Tail] = {}
        self.closing = asyncio.Event()
        self.relayed = 0  # events given to watchers, counted once for each

    async def watch(self, path: Path, phase: str, after: int, heartbeat_s: float) -> AsyncGenerator[Item, None]:
        if self.closing.is_set():
            raise Unavailable("the gateway is stopping", next_step="Connect again in a moment.")
        if path not in self._tails:
            self._tails[path] = Tail(path, phase)
        tail = self._tails[path]
        tail.watchers += 1
        try:
            async for item in tail.watch(after, heartbeat_s):
                if isinstance(item, Chunk):
                    self.relayed += item.last - item.first + 1
                yield item
        finally:
            tail.watchers -= 1
            if not tail.watchers and self._tails.get(path) is tail:
                del self._tails[path]
                tail.close()

    def nudge(self, path: Path) -> None:
        if path in self._tails:
            self._tails[path].nudge()

    @property
    def watchers(self) -> int:
        return sum(tail.watchers for tail in self._tails.values())

    async def close(self) -> None:
        """End all streams; their clients come back with the id of the last event they have."""
        self.closing.set()
        await asyncio.gather(*[tail.close() for tail in self._tails.values()])


def read_lines(path: Path, offset: int, limit: int | None = None) -> bytes:
    """Whole lines from a byte of the file on, about CHUNK_BYTES of them; one line at least, however long it is.

    `limit` is the end of a line. The file is opened each time: on a network volume only that shows new lines.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        data = b""
        while limit is None or offset + len(data) < limit:
            more = CHUNK_BYTES if limit is None else min(CHUNK_BYTES, limit - offset - len(data))
            piece = os.pread(descriptor, more, offset + len(data))
            data += piece
            if b"\n" in piece:
                return data[: data.rfind(b"\n") + 1]
            if not piece:
                return b""
        return b""
    finally:
        os.close(descriptor)


def _locate(path: Path, sequence: int) -> tuple[int, int]:
    """The byte behind an event, and its sequence; behind the last event when there are fewer."""
    offset = count = 0
    while count < sequence and (lines := read_lines(path, offset)):
        here = lines.count(b"\n")
        if count + here > sequence:
            position = 0
            for _ in range(sequence - count):
                position = lines.index(b"\n", position) + 1
            return offset + position, sequence
        offset, count = offset + len(lines), count + here
    return offset, count
