"""Whole lines of an event log, read from a byte on, and their encoding as a WatchRunResponse."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from agentforge.kit.errors import DataLoss
from agentforge.kit.records import Record, to_proto
from agentforge.v1 import phase_pb2

CHUNK_BYTES = 128 << 10
_BLOCK = 1 << 20
_STATE_MARK = b'"state_changed":'


class Chunk:
    """The lines from byte `start` to byte `end` of a log, with the events `first` to `last`."""

    def __init__(self, path: Path, start: int, first: int, lines: bytes) -> None:
        self.start = start
        self.end = start + len(lines)
        self.first = first
        self.last = first + lines.count(b"\n") - 1
        self._path = path
        self._lines = lines
        self._encoded = b""

    @property
    def is_raw(self) -> bool:
        """Whether encoding is still to be done, which takes milliseconds."""
        return not self._encoded

    def encoded(self) -> bytes:
        if not self._encoded:
            events = [to_proto(record) for record in self._records()]
            self._encoded = phase_pb2.WatchRunResponse(events=events).SerializeToString()
        return self._encoded

    def last_state(self) -> str:
        """The state that the last StateChanged among these lines gives; empty when there is none."""
        end = len(self._lines)
        while (mark := self._lines.rfind(_STATE_MARK, 0, end)) >= 0:
            begin = self._lines.rfind(b"\n", 0, mark) + 1
            record = _parsed(self._lines[begin : self._lines.index(b"\n", mark)], self._path)
            if isinstance(record, dict) and "state_changed" in record:
                return str(record["state_changed"]["state"])
            end = begin  # the mark stood inside a sample's data
        return ""

    def _records(self) -> list[Record]:
        records: list[Record] = _parsed(b"[" + self._lines[:-1].replace(b"\n", b",") + b"]", self._path)
        try:
            good = [record["sequence"] for record in records] == list(range(self.first, self.last + 1))
        except (TypeError, KeyError):
            good = False
        if not good:
            raise _damaged(self._path, f"between lines {self.first} and {self.last}")
        return records


def read_chunk(path: Path, offset: int, sequence: int, limit: int | None = None) -> Chunk | None:
    """About CHUNK_BYTES behind event `sequence`, which ends at byte `offset`; at least one line, however long.

    `limit` is the end of a line. The file is opened each time: on a network volume only that shows new lines.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    pieces: list[bytes] = []
    try:
        position = offset
        while limit is None or position < limit:
            size = CHUNK_BYTES if limit is None else min(CHUNK_BYTES, limit - position)
            piece = os.pread(descriptor, size, position)
            newline = piece.rfind(b"\n")
            if newline >= 0:
                return Chunk(path, offset, sequence + 1, b"".join([*pieces, piece[: newline + 1]]))
            if not piece:
                return None  # a line that is still being written, or torn
            pieces.append(piece)
            position += len(piece)
        return None
    finally:
        os.close(descriptor)


def locate(path: Path, sequence: int | None, limit: int | None = None) -> tuple[int, int]:
    """The byte behind an event, and its sequence; the last whole line's, when there are fewer or None is asked."""
    position = end = count = 0
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return 0, 0
    with file:
        while sequence is None or count < sequence:
            block = file.read(_BLOCK if limit is None else min(_BLOCK, limit - position))
            if not block:
                break
            here = block.count(b"\n")
            if sequence is not None and count + here > sequence:
                return position + _behind_newlines(block, sequence - count), sequence
            if here:
                end = position + block.rfind(b"\n") + 1
            count += here
            position += len(block)
    return end, count


def last_state(path: Path, end: int) -> str:
    """The state of the last StateChanged before byte `end`. Reads backwards: it is mostly near the end."""
    stop = end
    rest = b""  # the beginning of a line that the block before it holds the other part of
    while stop > 0:
        start = max(0, stop - _BLOCK)
        with path.open("rb") as file:
            file.seek(start)
            block = file.read(stop - start) + rest
        first = 0 if start == 0 else block.find(b"\n") + 1
        if first or start == 0:
            if state := Chunk(path, start + first, 0, block[first:]).last_state():
                return state
            rest = block[:first]
        else:
            rest = block
        stop = start
    return ""


def _behind_newlines(block: bytes, count: int) -> int:
    position = 0
    for _ in range(count):
        position = block.index(b"\n", position) + 1
    return position


def _parsed(text: bytes, path: Path) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise _damaged(path, str(error)) from None


def _damaged(path: Path, where: str) -> DataLoss:
    return DataLoss(
        f"{path} is no event log any more: {where}",
        reason="EVENT_LOG_DAMAGED",
        field=str(path),
        next_step="The file was changed by something else; restore it, or start a new run.",
    )
