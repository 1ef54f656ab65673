"""Reading an event log while its writer appends to it, or after."""

from __future__ import annotations

import json
import os
from pathlib import Path

from agentforge.kit.errors import DataLoss
from agentforge.kit.records import Record

_CHUNK = 1 << 20


class EventReader:
    """Gives each complete line once, in order. Lines up to `after_sequence` are counted, not parsed."""

    def __init__(self, path: Path, after_sequence: int = 0) -> None:
        self.path = path
        self.offset = 0  # byte at which the next unread line begins
        self.sequence = 0  # line that ends there
        self._after = after_sequence

    def poll(self) -> list[Record]:
        """The next records, about a mebibyte of them at most; none when all that is written has been read."""
        # Opened anew each time: on a network volume only opening shows what another machine wrote.
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        try:
            while lines := _complete_lines(descriptor, self.offset):
                if records := self._take(lines):
                    return records
        finally:
            os.close(descriptor)
        return []

    def _take(self, lines: bytes) -> list[Record]:
        skipped = min(self._after - self.sequence, lines.count(b"\n")) if self._after > self.sequence else 0
        start = _after_newlines(lines, skipped)
        records = _parse(lines[start:], self.path, self.sequence + skipped + 1)
        self.offset += len(lines)
        self.sequence += skipped + len(records)
        return records


def read_events(path: Path, after_sequence: int = 0, offset: int = 0) -> tuple[list[Record], int]:
    """All records after `after_sequence`, and the byte after the last of them.

    To go on from there, give both back: the last sequence and the offset.
    """
    reader = EventReader(path, after_sequence)
    if offset:
        reader.offset, reader.sequence = offset, after_sequence
    found: list[Record] = []
    while records := reader.poll():
        found += records
    return found, reader.offset


def last_position(path: Path) -> tuple[int, int]:
    """Number of complete lines, and the byte after the last of them."""
    lines = end = 0
    with path.open("rb") as file:
        position = 0
        while chunk := file.read(_CHUNK):
            lines += chunk.count(b"\n")
            newline = chunk.rfind(b"\n")
            end = position + newline + 1 if newline >= 0 else end
            position += len(chunk)
    return lines, end


def _complete_lines(descriptor: int, offset: int) -> bytes:
    """Whole lines from `offset` on; what follows the last newline is still being written, or torn."""
    data = b""
    while chunk := os.pread(descriptor, _CHUNK, offset + len(data)):
        data += chunk
        if b"\n" in chunk:
            return data[: data.rfind(b"\n") + 1]
    return b""


def _after_newlines(data: bytes, count: int) -> int:
    position = 0
    if count == data.count(b"\n"):
        return len(data)
    for _ in range(count):
        position = data.index(b"\n", position) + 1
    return position


def _parse(lines: bytes, path: Path, first: int) -> list[Record]:
    if not lines:
        return []
    try:  # one call for all lines: half the time of a call for each
        records: list[Record] = json.loads(b"[" + lines[:-1].replace(b"\n", b",") + b"]")
        good = [record["sequence"] for record in records] == list(range(first, first + len(records)))
    except (ValueError, TypeError, KeyError):
        good = False
    return records if good else _blame(lines, path, first)


def _blame(lines: bytes, path: Path, first: int) -> list[Record]:
    """Name the line that is not what was written there."""
    for number, line in enumerate(lines.splitlines(), first):
        try:
            right = json.loads(line)["sequence"] == number
        except (ValueError, TypeError, KeyError):
            right = False
        if not right:
            message = f"line {number} of {path} is no event with sequence {number}: {line[:80]!r}"
            next_step = "The file was changed by something else; restore it, or start a new run."
            raise DataLoss(message, reason="EVENT_LOG_DAMAGED", field=str(path), next_step=next_step)
    raise DataLoss(f"{path} is damaged near line {first}", reason="EVENT_LOG_DAMAGED", field=str(path))
