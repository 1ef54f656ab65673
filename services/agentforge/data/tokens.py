"""Token files of any size behind one index: opened when read, a few at a time, never loaded whole."""

from __future__ import annotations

import bisect
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentforge.data.flat import Flat, map_uint16
from agentforge.data.sources.documents import optional
from agentforge.data.sources.formats import no_field, opened
from agentforge.data.sources.pickles import load_pickle
from agentforge.data.sources.roots import find_files
from agentforge.data.splits import SHARES, Split, split_of
from agentforge.kit.errors import InvalidInput

SUFFIXES = (".npy", ".bin", ".h5", ".hdf5", ".pkl", ".pickle")

BLOCK = 4_096  # tokens that share a split, where token files carry no documents


class OpenShards:
    """The most recently used shards stay open; the others are closed. A worker may have thousands."""

    def __init__(self, capacity: int = 16, *, field: str = "tokens", allow_pickle: bool = False) -> None:
        self.capacity, self.field, self.allow_pickle = capacity, field, allow_pickle
        self._open: OrderedDict[Path, Any] = OrderedDict()

    def get(self, path: Path) -> Any:
        """Something with a length, whose slices are one-dimensional integer arrays."""
        if path not in self._open:
            self._open[path] = self._checked(path)
        self._open.move_to_end(path)
        while len(self._open) > self.capacity:
            _, oldest = self._open.popitem(last=False)
            if hasattr(oldest, "file"):  # all but pickles, which are in memory
                oldest.file.close()
        return self._open[path]

    def _checked(self, path: Path) -> Any:
        array = self._opened(path)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            message = f"{path} is {array.dtype} of shape {array.shape}"
            step = "One dimension of integers is needed: the tokens, one after the other."
            raise InvalidInput(message, reason="WRONG_SHAPE", field=str(path), next_step=step)
        return Flat.of_map(path, array) if isinstance(array, np.memmap) else array

    def _opened(self, path: Path) -> Any:
        match path.suffix:
            case ".npy":
                return opened(lambda p: np.load(p, mmap_mode="r"), path)
            case ".bin":
                return opened(map_uint16, path)
            case ".h5" | ".hdf5":
                h5py = optional("h5py", "h5py", "reading HDF5")
                file = opened(h5py.File, path)
                if not isinstance(file.get(self.field), h5py.Dataset):
                    raise no_field(
                        path, self.field, [name for name in file if isinstance(file[name], h5py.Dataset)]
                    )
                return file[self.field]
            case _:
                return np.asarray(load_pickle(path, allowed=self.allow_pickle))


class TokenShards:
    """Several token files as one long sequence."""

    def __init__(self, files: Sequence[Path], *, name: str, shards: OpenShards | None = None) -> None:
        self.files, self.name = list(files), name
        self._shards = shards or OpenShards()
        self._ends = list(accumulate(len(self._shards.get(file)) for file in self.files))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def read(self, start: int, stop: int) -> NDArray[np.int64]:
        parts = []
        which = bisect.bisect_right(self._ends, start)
        while start < stop:
            begin = self._ends[which - 1] if which else 0
            until = min(stop, self._ends[which])
            parts.append(np.asarray(self._shards.get(self.files[which])[start - begin : until - begin], np.int64))
            start, which = until, which + 1
        return np.concatenate(parts)


class Windows:
    """The rows of `length` tokens that a sequence of tokens falls into; of one split where asked.

    Tokens that a user brings carry no documents, so their split is by block of 4,096 and by its place in the files:
    stable as long as the list of files is.
    """

    def __init__(self, tokens: TokenShards, length: int, split: Split | None = None) -> None:
        self.tokens, self.length = tokens, length
        self._per_block = BLOCK // length if split else 1
        block = BLOCK if split else length
        self._block, count = block, len(tokens) // block
        self._kept = (
            array("q", (number for number in range(count) if split_of(f"{tokens.name}:{number}") is split))
            if split
            else None
        )
        self._count = (count if self._kept is None else len(self._kept)) * self._per_block
        if self._count == 0:
            whose = f"{tokens.name}/{split}" if split else tokens.name
            message = f"{whose} has {len(tokens):,} tokens: not one row of {length:,}"
            step = "Bring more text or take shorter rows."
            if split:
                step += f" Tokens are split in blocks of {BLOCK:,}: {SHARES[split]:.0%} of these are {split}."
            raise InvalidInput(message, reason="CORPUS_TOO_SMALL", field=tokens.name, next_step=step)

    def __len__(self) -> int:
        return self._count

    def read(self, number: int) -> NDArray[np.int64]:
        block, inside = divmod(number, self._per_block)
        start = (block if self._kept is None else self._kept[block]) * self._block + inside * self.length
        return self.tokens.read(start, start + self.length)


def token_files(
    paths: Sequence[Path], root: Path, *, name: str = "tokens", field: str = "tokens", allow_pickle: bool = False
) -> TokenShards:
    """The user's own token files: npy, raw uint16 (.bin), HDF5, and pickles where allowed."""
    files = find_files(paths, root, SUFFIXES)
    return TokenShards(files, name=name, shards=OpenShards(field=field, allow_pickle=allow_pickle))
