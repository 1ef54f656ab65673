"""TIES: trim, elect sign, disjoint mean (Yadav et al. 2023, "TIES-Merging")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from agentforge.phase2_evomerge.methods.base import Sources
from agentforge.phase2_evomerge.methods.signs import elected_sum
from agentforge.phase2_evomerge.methods.weights import Shares, each_weight

if TYPE_CHECKING:
    from torch import Tensor


class TiesOptions(Shares):
    normalize: bool = Field(True, description="Divide each sum by the weights of those that agree on its sign.")
    density: float = Field(
        0.2, gt=0, le=1, description="Share of each tensor's differences that is kept, the largest ones."
    )
    lam: float = Field(1.0, ge=0, le=10, description="λ: factor on the merged difference.")


class Ties:
    name = "ties"
    needs_base = True
    parents_min, parents_max = 1, None
    Options = TiesOptions

    def merge(self, sources: Sources, options: TiesOptions) -> Tensor:
        base = sources.trunk
        weights = each_weight(options, len(sources.parents))
        weighted = [
            trimmed(parent - base, options.density).mul_(weight)
            for parent, weight in zip(sources.parents, weights, strict=True)
        ]
        return base + elected_sum(weighted, weights, options.normalize).mul_(options.lam)


def trimmed(difference: Tensor, density: float) -> Tensor:
    """All but the largest ⌊density · n⌋ magnitudes (at least one) set to zero; of equal ones, the first stay."""
    kept = max(1, int(density * difference.numel()))
    if kept >= difference.numel():
        return difference
    size = difference.abs().reshape(-1)
    smallest = _nth_largest(size, kept)
    keep = size > smallest
    ties = (size == smallest).nonzero().squeeze(1)  # many, in differences of low-precision models
    keep[ties[: kept - int(keep.sum())]] = True
    return difference * keep.view_as(difference)


def _nth_largest(values: Tensor, n: int) -> float:
    """By NumPy: twice as fast as kthvalue and three times as topk on a CPU."""
    import numpy as np

    place = values.numel() - n
    return float(np.partition(values.cpu().numpy(), place)[place])
