"""The head of a safetensors file: which tensors it says it holds, checked against the file. No data is read."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentforge.kit.errors import DataLoss

ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip

_LONGEST = 100_000_000  # bytes of a header; the format's own limit


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor in its file: `size` bytes from `start` (counted from the beginning of the file)."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    size: int

    @property
    def numel(self) -> int:
        return math.prod(self.shape)


def read_header(file: Path) -> dict[str, Stored]:
    """In the order of the data. A header must describe all of its file, once, and nothing beyond it."""
    try:
        total = file.stat().st_size
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            if total < 8 or length > min(_LONGEST, total - 8):
                raise _broken(
                    file, f"it is {total:,} bytes long and cannot hold its header: it is cut, or no safetensors"
                )
            described = json.loads(opened.read(length))
    except (ValueError, RecursionError) as error:
        raise _broken(file, f"its header is not JSON: {error}") from error
    if not isinstance(described, dict):
        raise _broken(file, "its header is no JSON object")
    described.pop("__metadata__", None)
    stored = sorted(
        (_entry(file, name, entry, 8 + length) for name, entry in described.items()),
        key=lambda each: (each.start, each.size),
    )
    _check_covered(file, stored, 8 + length, total)
    return {each.name: each for each in stored}


def _entry(file: Path, name: str, entry: Any, data: int) -> Stored:
    try:
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise _broken(file, f"its header does not say dtype, shape and place of tensor {name!r}", name) from None
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise _broken(file, f"its header gives tensor {name!r} a shape or place that is none", name)
    if dtype not in ITEM_BYTES:
        raise _broken(file, f"tensor {name!r} is of type {dtype!r}, which is not known", name)
    wanted = math.prod(shape) * ITEM_BYTES[dtype]
    if end - begin != wanted:
        message = (
            f"tensor {name!r}, {dtype} {list(shape)}, takes {wanted:,} bytes; its header gives it {end - begin:,}"
        )
        raise _broken(file, message, name)
    return Stored(name, dtype, shape, file, data + begin, wanted)


def _check_covered(file: Path, stored: list[Stored], data: int, total: int) -> None:
    place = data
    for each in stored:
        if each.start != place:
            what = "overlaps the one before it" if each.start < place else "leaves a gap before it"
            raise _broken(file, f"tensor {each.name!r} {what}", each.name)
        place += each.size
        if place > total:
            message = f"it ends at byte {total:,}, and tensor {each.name!r} at {place:,}: the file is cut"
            raise _broken(file, message, each.name)
    if place != total:
        raise _broken(file, f"{total - place:,} bytes at its end belong to no tensor")


def _broken(file: Path, message: str, tensor: str = "") -> DataLoss:
    step = "Copy or download the file once more."
    return DataLoss(f"{file}: {message}", reason="BROKEN_FILE", field=tensor or str(file), next_step=step)
