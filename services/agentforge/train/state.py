"""What survives a kill: tensors as safetensors, all else as JSON. What is loaded is what was saved, to the bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import DataLoss


def own_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and saved buffers, each once however many names it has (tied weights)."""
    saved = model.state_dict().keys()
    buffers = {name: buffer for name, buffer in model.named_buffers() if name in saved}
    return {name: parameter.detach() for name, parameter in model.named_parameters()} | buffers


@torch.no_grad()
def put_tensors(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy into the model's own tensors, so that ties and optimisers hold."""
    own = own_tensors(model)
    if own.keys() != tensors.keys():
        differing = ", ".join(sorted(own.keys() ^ tensors.keys())[:3])
        raise _mismatch(f"the saved tensors are not this model's; they differ in {differing}", differing)
    for name, tensor in own.items():
        if tensor.shape != tensors[name].shape:
            raise _mismatch(f"{name} was saved as {tuple(tensors[name].shape)} and is {tuple(tensor.shape)}", name)
        tensor.copy_(tensors[name])


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}, path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        step = "Delete this checkpoint; the one before it is used."
        raise DataLoss(
            f"{path} cannot be read: {error}", reason="CHECKPOINT_BROKEN", field=str(path), next_step=step
        ) from error


def save_json(path: Path, value: Any) -> None:
    path.write_bytes(canonical_json(value))


def load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        step = "Delete this checkpoint; the one before it is used."
        raise DataLoss(
            f"{path} cannot be read: {error}", reason="CHECKPOINT_BROKEN", field=str(path), next_step=step
        ) from error


def random_state() -> dict[str, Tensor]:
    """PyTorch's generators. Nothing of ours draws from Python's or NumPy's global ones."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state |= {f"cuda.{number}": each for number, each in enumerate(torch.cuda.get_rng_state_all())}
    return state


def set_random_state(state: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    for number in range(torch.cuda.device_count()):
        if f"cuda.{number}" in state:
            torch.cuda.set_rng_state(state[f"cuda.{number}"], number)


def _mismatch(message: str, tensor: str) -> DataLoss:
    step = "Resume with the model settings of the run, or start a new run."
    return DataLoss(message, reason="CHECKPOINT_MISMATCH", field=tensor, next_step=step)
