"""Reads W&B's offline files: a header of 7 bytes, then LevelDB's log format with W&B's records in it.

For one question only: is all in it? W&B's core says nothing when its disk is full, and drops what does not fit.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_HEADER = 7
_BLOCK = 32768
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def records(path: Path) -> Iterator[Any]:
    """Each whole wandb_internal.Record in turn; ends where the file is torn."""
    from wandb.proto import wandb_internal_pb2

    for data in _payloads(path.read_bytes() if path.exists() else b""):
        yield wandb_internal_pb2.Record.FromString(data)  # type: ignore[attr-defined]  # its stubs hide it


def last_step(path: Path) -> int | None:
    """The last step of the history; -1 where it has none, and None where the file does not go to its end."""
    found, ended = -1, False
    for record in records(path):
        ended = ended or record.HasField("exit")
        if record.HasField("history"):
            found = max(found, record.history.step.num)
    return found if ended else None


def _payloads(data: bytes) -> Iterator[bytes]:
    position, whole = _HEADER, b""
    while position + _HEADER <= len(data):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER:  # the rest of a block is padding
            position += left
            continue
        checksum, size, kind = struct.unpack_from("<IHB", data, position)
        part = data[position + _HEADER : position + _HEADER + size]
        if kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or zlib.crc32(bytes([kind]) + part) != checksum:
            return
        position += _HEADER + size
        whole = part if kind in (_FULL, _FIRST) else whole + part
        if kind in (_FULL, _LAST):
            yield whole
