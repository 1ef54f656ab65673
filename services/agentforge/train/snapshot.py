"""The whole state of a training at one step: to be written, read, or gone back to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from agentforge.train import state

_COUNTERS = "training.json"


@dataclass(frozen=True)
class Snapshot:
    """`tensors`: by what they are of, which names their file. `counters`: plain JSON."""

    tensors: Mapping[str, Mapping[str, Tensor]]
    counters: Mapping[str, Any]

    def copy(self) -> Snapshot:
        """One that stays as it is while the training goes on."""
        tensors = {of: {name: each.clone() for name, each in group.items()} for of, group in self.tensors.items()}
        return Snapshot(tensors, self.counters)

    def write(self, directory: Path) -> None:
        """Into an empty directory."""
        for of, tensors in self.tensors.items():
            state.save_tensors(directory / f"{of}.safetensors", tensors)
        state.save_json(directory / _COUNTERS, self.counters)

    @classmethod
    def read(cls, directory: Path) -> Snapshot:
        files = sorted(directory.glob("*.safetensors"))
        return cls({file.stem: state.load_tensors(file) for file in files}, state.load_json(directory / _COUNTERS))
