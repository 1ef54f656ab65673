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
    # Masks are numbers: PyTorch's kernels for booleans take five times as long on a CPU.
    elected = torch.ge(mass, 0, out=mass).mul_(2).sub_(1)
    merged, agreeing = torch.zeros_like(mass), torch.zeros_like(mass)
    for difference, weight in zip(weighted, weights, strict=True):
        sign = difference.sign()
        agrees = torch.eq(sign, elected, out=sign)
        merged += difference * agrees
        agreeing += agrees.mul_(weight)
    if not normalize:
        return merged
    alone = torch.eq(agreeing, 0, out=elected)
    return merged.div_(agreeing.add_(alone))
