"""The election of signs (Yadav et al. 2023, "TIES-Merging")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def elected_sum(weighted: Sequence[Tensor], weights: Sequence[float], normalize: bool) -> Tensor:
    """Per element: the sign with the larger summed mass wins, and only differences of this sign are summed.

    `weighted` are the parents' differences from the base times their weights. Normalised, the sum is divided by the
    weights of those that agree (the disjoint mean). Zero has no sign and agrees with none; equal masses elect plus.
    """
    import torch

    mass = torch.zeros_like(weighted[0])
    for difference in weighted:
        mass += difference
    plus = mass >= 0
    merged, agreeing = torch.zeros_like(mass), torch.zeros_like(mass)
    for difference, weight in zip(weighted, weights, strict=True):
        agrees = ((difference > 0) == plus) & (difference != 0)
        merged += difference * agrees
        agreeing += agrees * weight
    return merged / agreeing.where(agreeing > 0, 1.0) if normalize else merged
