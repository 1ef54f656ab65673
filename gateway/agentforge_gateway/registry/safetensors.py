"""Headers of safetensors files, read by hand and believed in nothing: no tensor is loaded."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentforge.kit.errors import InvalidInput

MAX_HEADER_BYTES = 100_000_000  # the format's own limit
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "U16": 16, "I16": 16, "F16": 16,
    "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4,
    "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
FLOATING = frozenset(name for name in _BITS if name.startswith(("F", "BF")))


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)


def read_header(path: Path) -> list[Tensor]:
    """The tensors of a file, sorted by name. Raises where the header and the file's length do not agree."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise _lies(path, f"says that its header has {length:,} bytes; the file has {size:,}")
        if length > MAX_HEADER_BYTES:
            raise _lies(path, f"has a header of {length:,} bytes; the format allows {MAX_HEADER_BYTES:,}")
        raw = file.read(length)
    header = _parse(path, raw)
    header.pop("__metadata__", None)
    spans, tensors = [], []
    for name, entry in sorted(header.items()):
        tensor, span = _tensor(path, name, entry)
        tensors.append(tensor)
        spans.append((*span, name))
    _check_spans(path, sorted(spans), size - 8 - length)
    return tensors


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_once)
    except _Twice as error:
        raise _lies(path, f"names {error.args[0]!r} twice in its header") from None
    except (ValueError, RecursionError) as error:
        raise _lies(path, f"has a header that is no JSON ({type(error).__name__})") from None
    if not isinstance(value, dict):
        raise _lies(path, "has a header that is no JSON object")
    return value


class _Twice(Exception):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Twice(name[:200])
        found[name] = value
    return found


def _tensor(path: Path, name: str, entry: Any) -> tuple[Tensor, tuple[int, int]]:
    shown = repr(name[:200])
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise _lies(path, f"says no dtype, shape and data_offsets of tensor {shown}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise _lies(path, f"gives tensor {shown} the dtype {str(dtype)[:40]!r}, which the format does not have")
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise _lies(path, f"gives tensor {shown} a shape or offsets that are no natural numbers")
    tensor = Tensor(name, dtype, tuple(shape))
    begin, end = offsets
    bits = tensor.numbers * _BITS[dtype]
    if bits % 8 or end - begin != bits // 8:
        raise _lies(path, f"gives tensor {shown} {end - begin:,} bytes; its shape and dtype need {bits / 8:,.0f}")
    return tensor, (begin, end)


def _naturals(value: Any) -> bool:
    """Bounded in number and in size, or multiplying them would take for ever."""
    return (
        isinstance(value, list) and len(value) <= 64 and all(type(one) is int and 0 <= one < 2**53 for one in value)
    )


def _check_spans(path: Path, spans: list[tuple[int, int, str]], data_bytes: int) -> None:
    """The tensors' bytes follow each other without overlap or hole, to the end of the file."""
    at = 0
    for begin, end, name in spans:
        if begin != at:
            what = "overlaps another" if begin < at else "leaves a hole before it"
            raise _lies(path, f"has a tensor {name[:200]!r} that {what}")
        at = end
    if at != data_bytes:
        raise _lies(path, f"has {data_bytes:,} bytes of data; its header accounts for {at:,}")


def _lies(path: Path, how: str) -> InvalidInput:
    return InvalidInput(
        f"{path.name} {how}",
        reason="BAD_SAFETENSORS",
        field=path.name,
        next_step="Write the file again with safetensors; it may have been cut short on the way.",
    )
