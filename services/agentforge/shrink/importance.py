"""What matters least, on the calibration items: a layer by the loss without it, an MLP unit by what it adds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.models.ternary.linear import BitLinear, frozen
from agentforge.models.ternary.quantise import per_weight
from agentforge.shrink.anatomy import Anatomy
from agentforge.train.evaluate import answer_nats


@dataclass(frozen=True)
class Importance:
    without: list[float]  # nats per answer token where this layer is left out
    units: list[Tensor] = field(repr=False)  # of each layer, [F]: norm of what a unit adds

    def best_layers(self, count: int) -> tuple[int, ...]:
        order = sorted(range(len(self.without)), key=lambda layer: (-self.without[layer], layer))
        return tuple(sorted(order[:count]))

    def best_units(self, layer: int, count: int) -> Tensor:
        order = self.units[layer].argsort(descending=True, stable=True)
        return order[:count].sort().values


def loss_without(
    model: Any, codec: Codec, items: Sequence[Item], parts: Anatomy, without: Callable[[int], Any], batch: int
) -> list[float]:
    """`without`: the model without one layer. A model of one layer keeps it."""
    if parts.layers == 1:
        return [0.0]
    return [nats(without(layer), codec, items, batch) for layer in range(parts.layers)]


def nats(model: Any, codec: Codec, items: Sequence[Item], batch: int) -> float:
    with frozen(model):
        total, count = answer_nats(model, codec, items, batch=batch)
    return total / count


@torch.no_grad()
def unit_norms(model: Any, codec: Codec, items: Sequence[Item], parts: Anatomy, batch: int) -> list[Tensor]:
    """Wanda, for whole units: the size of a unit's column in `down`, times the norm of what comes into it."""
    layers = [model.get_submodule(parts.layer(number) + parts.down) for number in range(parts.layers)]
    squares = [torch.zeros(parts.width, dtype=torch.float64, device=model.device) for _ in layers]

    def hear(number: int, _: Any, args: tuple[Any, ...]) -> None:
        squares[number] += args[0].detach().double().square().flatten(0, -2).sum(0)

    hooks = [
        layer.register_forward_pre_hook(lambda module, args, number=number: hear(number, module, args))
        for number, layer in enumerate(layers)
    ]
    try:
        nats(model, codec, items, batch)
    finally:
        for hook in hooks:
            hook.remove()
    return [
        (_weight(layer).double().norm(dim=0) * total.sqrt()).cpu()
        for layer, total in zip(layers, squares, strict=True)
    ]


def _weight(layer: Any) -> Tensor:
    """As it is used."""
    if not isinstance(layer, BitLinear):
        weight: Tensor = layer.weight.detach()
        return weight
    codes, scales = layer.quantised()
    return codes * per_weight(scales, layer.in_features)
