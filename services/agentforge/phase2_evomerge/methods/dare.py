"""DARE: drop most of each difference at random, and rescale the rest (Yu et al. 2024, "Super Mario")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from agentforge.kit.rng import Rng
from agentforge.phase2_evomerge.methods.base import Sources
from agentforge.phase2_evomerge.methods.signs import elected_sum
from agentforge.phase2_evomerge.methods.weights import Shares, final_weights, in_pieces, pieces

if TYPE_CHECKING:
    import torch
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
        return in_pieces(self._pieces(sources, options), sources.trunk)

    def _pieces(self, sources: Sources, options: DareOptions) -> Iterator[Tensor]:
        weights = final_weights(options, len(sources.parents))
        base, *parents = (each.reshape(-1) for each in (sources.trunk, *sources.parents))
        draws = [_draws(sources.seed, sources.name, number) for number in range(len(parents))]
        for here in pieces(base.numel()):
            weighted = [
                dropped(parent[here] - base[here], _kept(draw, base[here], options.drop), options.drop) * weight
                for parent, draw, weight in zip(parents, draws, weights, strict=True)
            ]
            yield base[here] + _joined(weighted, weights, options.elect_signs).mul_(options.lam)


def mask(seed: int, name: str, parent: int, like: Tensor, drop: float) -> Tensor:
    """True where a difference of this parent (counted from 0) is kept: independent draws, on the CPU."""
    return _kept(_draws(seed, name, parent), like, drop).bool()


def _draws(seed: int, name: str, parent: int) -> torch.Generator:
    return Rng(seed, "evomerge/dare", name, parent).torch()


def _kept(draws: torch.Generator, like: Tensor, drop: float) -> Tensor:
    """The next draws, 1 to keep and 0 to drop, for each element: piece after piece they are those of the whole."""
    import torch

    drawn = torch.rand(like.shape, generator=draws)
    return torch.ge(drawn, drop, out=drawn).to(like.device)


def _joined(weighted: list[Tensor], weights: Sequence[float], elect_signs: bool) -> Tensor:
    if elect_signs:  # no disjoint mean: few meet in one place, and each is 1/(1 - p) times its size
        return elected_sum(weighted, weights, normalize=False)
    total, *others = weighted
    for difference in others:
        total += difference
    return total


def dropped(difference: Tensor, keep: Tensor, drop: float) -> Tensor:
    """Each difference is its own expectation: 1 - p of the time it is there, at 1/(1 - p) times its size."""
    return (difference * keep).div_(1 - drop)
