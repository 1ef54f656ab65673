"""What ModelOptimizer hands on: two sets of weights, of the model that follows prompts and of the one without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from agentforge.phase6_baking.start import Start
from agentforge.train import state

TEACHER, BAKED, ROUNDS = "teacher", "baked", "rounds.json"


def write(directory: Path, teacher: Mapping[str, Tensor], baked: Mapping[str, Tensor], told: Any) -> None:
    directory.mkdir(exist_ok=True)
    for name, tensors in {TEACHER: teacher, BAKED: baked}.items():
        state.save_tensors(directory / f"{name}.safetensors", tensors)
    state.save_json(directory / ROUNDS, told)


def read(directory: Path, name: str, start: Start) -> Any:
    """A model with these weights."""
    model = start.copy(state.load_tensors(directory / f"{name}.safetensors"))
    model.eval()
    return model
