"""Integers in a file, read piece by piece."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentforge.kit.errors import DataLoss

_LLM_C = 20_240_520  # the first number of llm.c's token files, which say in 256 numbers what they hold
_HEADER_BYTES = 1_024


class Flat:
    """Read and not mapped: mapped pages count as the process's own, and one beyond a file's end kills it."""

    ndim = 1

    def __init__(self, path: Path, dtype: np.dtype[Any], offset: int, count: int) -> None:
        self.path, self.dtype, self.offset, self.shape = path, dtype, offset, (count,)
        self.file = path.open("rb", buffering=0)

    @classmethod
    def of_map(cls, path: Path, mapped: np.memmap[Any, Any]) -> Flat:
        """The map has checked that the file is as long as it should be; it goes with its last reference."""
        return cls(path, mapped.dtype, mapped.offset, len(mapped))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> NDArray[Any]:
        start, stop, _ = part.indices(len(self))
        wanted = (stop - start) * self.dtype.itemsize
        raw = os.pread(self.file.fileno(), wanted, self.offset + start * self.dtype.itemsize)
        if len(raw) < wanted:
            message = f"{self.path} was cut short while it was read"
            step = "Leave the files as they are until the run is done."
            raise DataLoss(message, reason="BROKEN_FILE", field=str(self.path), next_step=step)
        return np.frombuffer(raw, self.dtype)


def map_uint16(path: Path) -> np.memmap[Any, Any]:
    """Bare numbers, as nanoGPT writes them; or llm.c's, behind a header that says how many there are."""
    with path.open("rb") as file:
        header = np.frombuffer(file.read(12), "<i4") if path.stat().st_size >= _HEADER_BYTES else np.zeros(3)
    if header[0] != _LLM_C:
        return np.memmap(path, "<u2", mode="r")
    found = (path.stat().st_size - _HEADER_BYTES) / 2
    if found != header[2]:
        raise ValueError(f"its header says {header[2]:,} tokens, and there are {found:,.0f}")
    return np.memmap(path, "<u2", mode="r", offset=_HEADER_BYTES)
