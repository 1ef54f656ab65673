"""Weights that are made zero, and stay so through a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from agentforge.train.parts import Part


class Zeros(Part):
    """`kept`: by a weight's name, where it is not zero, in its shape."""

    def __init__(self, model: Any, kept: Mapping[str, Tensor]) -> None:
        self.kept = dict(kept)
        self._weights = {name: model.get_parameter(name) for name in kept}
        self.after_step(0, 0.0)

    @torch.no_grad()
    def after_step(self, step: int, share: float) -> None:
        for name, weight in self._weights.items():
            weight *= self.kept[name]


def two_of_four(size_OI: Tensor) -> Tensor:
    """Where the two largest of each four in a row are."""
    fours = size_OI.reshape(len(size_OI), -1, 4)
    best = fours.argsort(dim=-1, descending=True, stable=True)[..., :2]
    return torch.zeros_like(fours, dtype=torch.bool).scatter(-1, best, True).view_as(size_OI)


def all_but(size_OI: Tensor, share: float) -> Tensor:
    """Where all but this share of the matrix is: its largest."""
    most = round((1 - share) * size_OI.numel())
    best = size_OI.flatten().argsort(descending=True, stable=True)[:most]
    return (
        torch.zeros(size_OI.numel(), dtype=torch.bool, device=size_OI.device)
        .scatter(0, best, True)
        .view_as(size_OI)
    )
