"""A model's directory as tensors that are mapped into memory when asked for, and leave it when dropped."""

from __future__ import annotations

import mmap
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.kit.errors import DataLoss, InvalidInput
from agentforge.phase2_evomerge.streaming.header import Stored, read_header
from agentforge.train.directory import check_weights, model_directory, read_json

if TYPE_CHECKING:
    from torch import Tensor

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class ModelFiles:
    """config.json and the heads of all weight files; what is wrong with them is told here."""

    def __init__(self, path: Path) -> None:
        self.directory = model_directory(path)
        self.config = read_json(self.directory / "config.json")
        check_weights(self.directory)
        self.tensors: dict[str, Stored] = self._single() if self._is_single else self._sharded()

    @property
    def name(self) -> str:
        """Of the directory, never where it lies."""
        return self.directory.resolve().name

    @cached_property
    def files(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(each.file for each in self.tensors.values()))

    def floats(self, name: str) -> Tensor:
        """A view of the file where that holds float32; a float32 copy of other floats."""
        import torch

        stored = self.tensors[name]
        return _mapped(stored, getattr(torch, FLOATS[stored.dtype]), stored.numel).view(stored.shape).float()

    def raw(self, name: str) -> Tensor:
        """Its bytes, shape [bytes], as they are."""
        import torch

        stored = self.tensors[name]
        return _mapped(stored, torch.uint8, stored.size)

    @property
    def _is_single(self) -> bool:
        return (self.directory / SINGLE).is_file()  # transformers, too, looks for it first

    def _single(self) -> dict[str, Stored]:
        return read_header(self.directory / SINGLE)

    def _sharded(self) -> dict[str, Stored]:
        index = self.directory / INDEX
        if not index.is_file():
            message = f"{self.directory} holds neither {SINGLE} nor {INDEX}"
            raise InvalidInput(message, reason="NO_WEIGHTS", field=str(self.directory))
        places = _weight_map(index)
        found: dict[str, Stored] = {}
        for shard in sorted(set(places.values())):
            listed = [name for name, place in places.items() if place == shard]
            file = self.directory / shard
            if not file.is_file():
                message = f"{file} is missing; tensor {listed[0]!r} and {len(listed) - 1:,} more should be in it"
                step = "Copy or download the missing file."
                raise InvalidInput(message, reason="MISSING_SHARD", field=str(file), next_step=step)
            here = read_header(file)
            for name in (*listed, *here):
                if name not in here or places.get(name) != shard:
                    where = "holds no" if name not in here else f"holds what {INDEX} does not say is there,"
                    message = f"{file} {where} tensor {name!r}"
                    raise DataLoss(message, reason="BROKEN_FILE", field=name)
            found |= here
        return found


def _weight_map(index: Path) -> dict[str, str]:
    places: Any = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise DataLoss(f"{index} holds no weight_map", reason="BROKEN_FILE", field=str(index))
    for name, place in places.items():
        if not isinstance(place, str) or Path(place).name != place or not place.endswith(".safetensors"):
            message = f"{index}: tensor {name!r} is said to be in {place!r}, which is no safetensors file beside it"
            raise DataLoss(message, reason="BROKEN_FILE", field=name)
    return places


def _mapped(stored: Stored, dtype: Any, count: int) -> Tensor:
    """A map of these bytes alone. It ends with the tensor, so nothing has to be given back by hand."""
    import torch

    if count == 0:
        return torch.empty(0, dtype=dtype)
    before = stored.start % mmap.ALLOCATIONGRANULARITY
    try:
        with stored.file.open("rb") as file:
            # Private and writable, though nobody writes: torch warns of memory that it cannot write to.
            mapped = mmap.mmap(
                file.fileno(), stored.size + before, access=mmap.ACCESS_COPY, offset=stored.start - before
            )
    except ValueError as error:  # longer than the file is now
        message = f"{stored.file} became shorter while it was read, before the end of tensor {stored.name!r}"
        raise DataLoss(message, reason="BROKEN_FILE", field=stored.name) from error
    return torch.frombuffer(mapped, dtype=dtype, count=count, offset=before)
