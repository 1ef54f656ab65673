"""DARE: drop most of each difference at random, and rescale the rest (Yu et al. 2024, "Super Mario")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from agentforge.kit.rng import Rng
from agentforge.phase2_evomerge.methods.base import Sources
from agentforge.phase2_evomerge.methods.signs import elected_sum
from agentforge.phase2_evomerge.methods.weights import Shares, final_weights

if TYPE_CHECKING:
    from torch import Tensor


class DareOptions(Shares):
    drop: float = Field(0.9, ge=0, le=0.999, description="p: chance of each difference to be dropped.")
    elect_signs: bool = Field(False, description="Sum only the differences of the sign that wins, as TIES does.")
    lam: float = Field(1.0, ge=0, le=10, description="λ: factor on the merged difference.")


class Dare:
    name = "dare"
    needs_base = True
    parents_min, parents_max = 1, None
    Options = DareOptions

    def merge(self, sources: Sources, options: DareOptions) -> Tensor:
        base = sources.trunk
        weights = final_weights(options, len(sources.parents))
        weighted = (
            dropped(parent - base, mask(sources.seed, sources.name, number, base, options.drop), options.drop)
            * weight
            for number, (parent, weight) in enumerate(zip(sources.parents, weights, strict=True))
        )
        if options.elect_signs:  # no disjoint mean: few meet in one place, and each is 1/(1 - p) times its size
            return base + elected_sum(list(weighted), weights, normalize=False).mul_(options.lam)
        total = next(weighted)
        for difference in weighted:
            total += difference
        return base + total.mul_(options.lam)


def mask(seed: int, name: str, parent: int, like: Tensor, drop: float) -> Tensor:
    """True where a difference of this parent (counted from 0) is kept: independent draws, on the CPU."""
    import torch

    generator = Rng(seed, "evomerge/dare", name, parent).torch()
    return (torch.rand(like.shape, generator=generator) >= drop).to(like.device)


def dropped(difference: Tensor, keep: Tensor, drop: float) -> Tensor:
    """Each difference is its own expectation: 1 - p of the time it is there, at 1/(1 - p) times its size."""
    return (difference * keep).div_(1 - drop)
