"""DARE: drop most of each difference at random, and rescale the rest (Yu et al. 2024, "Super Mario")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

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
    rescale: Literal["expectation", "norm"] = Field(
        "expectation",
        description="Divide what is kept by 1 - p, as in the paper; or by what is left of the tensor's L1 norm, as "
        "mergekit does.",
    )
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
        shares = [1 - options.drop] * len(parents)
        if options.rescale == "norm":
            fresh = [_draws(sources.seed, sources.name, number) for number in range(len(parents))]
            pairs = zip(parents, fresh, strict=True)
            shares = [_share_left(parent, base, draw, options.drop) for parent, draw in pairs]
        for here in pieces(base.numel()):
            weighted = [
                dropped(parent[here] - base[here], _kept(draw, base[here], options.drop), share) * weight
                for parent, draw, share, weight in zip(parents, draws, shares, weights, strict=True)
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


def _share_left(parent: Tensor, base: Tensor, draws: torch.Generator, drop: float) -> float:
    """Of the L1 norm of the difference; 1 where nothing is left to be made larger."""
    whole = left = 0.0
    for here in pieces(base.numel()):
        size = (parent[here] - base[here]).abs()
        whole += float(size.double().sum())
        left += float((size * _kept(draws, base[here], drop)).double().sum())
    return left / whole if left > 0 else 1.0


def dropped(difference: Tensor, keep: Tensor, share: float) -> Tensor:
    """With the share 1 - p each is its own expectation: so often it is there, at so many times its size."""
    return (difference * keep).div_(share)
