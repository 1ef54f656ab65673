"""Safetensors files whose every place is known before the first tensor is: tensors may come in any order."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentforge.kit.files import disk_errors
from agentforge.phase2_evomerge.streaming.header import ITEM_BYTES
from agentforge.phase2_evomerge.streaming.shards import INDEX, SINGLE

if TYPE_CHECKING:
    from torch import Tensor

_ALIGNMENT = 8  # bytes; the format asks for it where the data begins


@dataclass(frozen=True, slots=True)
class Planned:
    """A tensor to be written."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


class WeightFiles:
    """All files of the plan, opened at their full length: a disk that is too small says so at once."""

    def __init__(self, directory: Path, planned: Sequence[Planned], max_shard_bytes: int) -> None:
        self._directory = directory
        self._places: dict[str, tuple[int, int, int]] = {}  # descriptor, offset, bytes
        self._descriptors: list[tuple[Path, int]] = []
        # Wide types first, so that each tensor begins at a multiple of its item's size.
        ordered = sorted(planned, key=lambda each: -ITEM_BYTES[each.dtype])
        shards = _split(ordered, max_shard_bytes)
        names = [SINGLE] if len(shards) == 1 else [_shard_name(i, len(shards)) for i in range(len(shards))]
        try:
            for name, shard in zip(names, shards, strict=True):
                self._open(directory / name, shard)
            if len(shards) > 1:
                self._write_index(dict(zip(names, shards, strict=True)))
        except BaseException:
            self.close()
            raise

    def write(self, name: str, tensor: Tensor) -> None:
        """From any thread. `tensor` holds the planned bytes."""
        import torch

        descriptor, offset, size = self._places[name]
        data = memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
        assert len(data) == size, f"{name}: {len(data)} bytes instead of {size}"
        with disk_errors(self._directory):
            while data:
                written = os.pwrite(descriptor, data, offset)
                data, offset = data[written:], offset + written

    def close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop()[1])

    def _open(self, file: Path, shard: Sequence[Planned]) -> None:
        header = _header(shard)
        with disk_errors(file):
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            self._descriptors.append((file, descriptor))
            offset = len(header)
            for each in shard:
                self._places[each.name] = (descriptor, offset, each.size)
                offset += each.size
            os.posix_fallocate(descriptor, 0, offset)
            os.pwrite(descriptor, header, 0)

    def _write_index(self, shards: dict[str, Sequence[Planned]]) -> None:
        index = {
            "metadata": {"total_size": sum(each.size for shard in shards.values() for each in shard)},
            "weight_map": {each.name: file for file, shard in shards.items() for each in shard},
        }
        with disk_errors(self._directory):
            (self._directory / INDEX).write_text(json.dumps(index, indent=2) + "\n")


def _split(planned: Sequence[Planned], max_shard_bytes: int) -> list[list[Planned]]:
    """In order; a tensor that is larger than a shard has one to itself."""
    shards: list[list[Planned]] = [[]]
    filled = 0
    for each in planned:
        if shards[-1] and filled + each.size > max_shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(each)
        filled += each.size
    return shards


def _shard_name(number: int, of: int) -> str:
    return f"model-{number + 1:05d}-of-{of:05d}.safetensors"


def _header(shard: Sequence[Planned]) -> bytes:
    described: dict[str, object] = {"__metadata__": {"format": "pt"}}
    place = 0
    for each in shard:
        described[each.name] = {
            "dtype": each.dtype, "shape": list(each.shape), "data_offsets": [place, place + each.size],
        }  # fmt: skip
        place += each.size
    text = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text
