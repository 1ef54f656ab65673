"""TIES: trim, elect sign, disjoint mean (Yadav et al. 2023, "TIES-Merging")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from agentforge.phase2_evomerge.methods.base import Sources
from agentforge.phase2_evomerge.methods.signs import elected_sum
from agentforge.phase2_evomerge.methods.weights import Shares, each_weight, in_pieces, pieces

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
        return in_pieces(self._pieces(sources, options), sources.trunk)

    def _pieces(self, sources: Sources, options: TiesOptions) -> Iterator[Tensor]:
        weights = each_weight(options, len(sources.parents))
        base, *parents = (each.reshape(-1) for each in (sources.trunk, *sources.parents))
        trims = [_Trim(parent - base, options.density) for parent in parents]
        for here in pieces(base.numel()):
            weighted = [
                trim(parent[here] - base[here]).mul_(weight)
                for parent, trim, weight in zip(parents, trims, weights, strict=True)
            ]
            yield base[here] + elected_sum(weighted, weights, options.normalize).mul_(options.lam)


def trimmed(difference: Tensor, density: float) -> Tensor:
    """All but the largest ⌊density · n⌋ magnitudes (at least one) set to zero; of equal ones, the first stay."""
    return _Trim(difference.clone(), density)(difference.reshape(-1)).view(difference.shape)


class _Trim:
    """The smallest magnitude that stays, and how many of exactly this one do: to be asked piece after piece."""

    def __init__(self, difference: Tensor, density: float) -> None:
        """`difference` is used up."""
        kept = max(1, int(density * difference.numel()))
        self._all = kept >= difference.numel()
        if not self._all:
            # NumPy finds the place twice as fast as kthvalue and three times as fast as topk on a CPU.
            size = difference.reshape(-1).abs_().cpu().numpy()
            place = size.size - kept
            size.partition(place)
            self._smallest = float(size[place])
            self._equals = kept - int((size[place:] > self._smallest).sum())

    def __call__(self, difference: Tensor) -> Tensor:
        import torch

        if self._all:
            return difference
        size = difference.abs()
        equal = torch.eq(size, self._smallest, out=torch.empty_like(size)) if self._equals else None
        keep = torch.gt(size, self._smallest, out=size)  # as numbers: kernels for booleans are slow on a CPU
        if equal is not None and (found := int(equal.count_nonzero())):
            first = equal.nonzero().squeeze(1)[: self._equals]  # many, in differences of low-precision models
            keep[first] = 1
            self._equals -= min(self._equals, found)
        return difference * keep
