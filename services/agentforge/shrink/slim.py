"""A candidate's model: a new config, the tensors that are left, and the same ternary modes.

With nothing removed it is the input, to the bit.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agentforge.models.ternary.convert import swap
from agentforge.models.ternary.linear import ternary_layers
from agentforge.shrink.anatomy import Anatomy, anatomy
from agentforge.train.state import own_tensors, put_tensors


@dataclass(frozen=True)
class Cut:
    """What is kept: layers by their old numbers, units of each of them; steps and slots as many as there are."""

    layers: tuple[int, ...]
    units: dict[int, Tensor]  # by old layer: sorted places
    steps: int | None
    slots: int | None


@torch.no_grad()
def slimmed(model: Any, cut: Cut) -> Any:
    """A model of its own."""
    parts = anatomy(model)
    with torch.random.fork_rng(devices=[]):  # its first weights are drawn and thrown away
        small = type(model)(_config(model.config, parts, cut))
    small.generation_config = copy.deepcopy(model.generation_config)
    small.to(dtype=model.dtype, device=model.device)
    for name, layer in ternary_layers(model).items():
        new = _new_name(name + ".", parts, cut)
        if new is not None:
            swap(small, new[:-1], small.get_submodule(new[:-1]), layer.mode)
    kept = {_new_name(name, parts, cut): (name, tensor) for name, tensor in own_tensors(model).items()}
    own = own_tensors(small)
    put_tensors(small, {new: _sliced(*kept[new], parts, cut, own[new].shape) for new in own})
    return small.eval()


def _config(config: Any, parts: Anatomy, cut: Cut) -> Any:
    small = copy.deepcopy(config)
    small.num_hidden_layers = len(cut.layers)
    small.intermediate_size = len(next(iter(cut.units.values())))
    if parts.titan:
        _titan(small, cut)
    elif isinstance(getattr(config, "layer_types", None), list):
        small.layer_types = [config.layer_types[layer] for layer in cut.layers]
    return small


def _titan(small: Any, cut: Cut) -> None:
    if cut.steps is not None and cut.steps < small.act_steps_infer:
        small.act_steps_infer = small.act_steps_train = cut.steps  # healed as it is used
    if small.memory:
        small.memory_layers = [new for new, old in enumerate(cut.layers) if old in small.memory_layers]
        small.memory = bool(small.memory_layers)
        small.memory_slots = cut.slots or small.memory_slots
    else:
        small.memory_layers = [layer for layer in small.memory_layers if layer < small.num_hidden_layers]


def _new_name(name: str, parts: Anatomy, cut: Cut) -> str | None:
    """None: of a layer that is gone."""
    number = parts.number(name)
    if number is None:
        return name
    if number not in cut.layers:
        return None
    return parts.layer(cut.layers.index(number)) + name.removeprefix(parts.layer(number))


def _sliced(name: str, tensor: Tensor, parts: Anatomy, cut: Cut, shape: torch.Size) -> Tensor:
    if tensor.shape == shape:
        return tensor
    number = parts.number(name)
    if number is None:  # one for each halting step
        return tensor[: shape[0]]
    units = cut.units[number].to(tensor.device)
    return tensor[:, units] if f"{parts.down}." in name else tensor[units]
