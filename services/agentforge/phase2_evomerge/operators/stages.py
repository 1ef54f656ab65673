"""The three stages of a combination, each on one tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from agentforge.phase2_evomerge.methods.base import Sources
from agentforge.phase2_evomerge.methods.dare import Dare, DareOptions
from agentforge.phase2_evomerge.methods.linear import Linear
from agentforge.phase2_evomerge.methods.slerp import SlerpOptions, shares
from agentforge.phase2_evomerge.methods.ties import Ties, TiesOptions
from agentforge.phase2_evomerge.methods.weights import Weights, weighted_sum
from agentforge.phase2_evomerge.operators.combination import Combination, CombinationOptions
from agentforge.phase2_evomerge.operators.tensors import dot, pieces


def interpolated(combination: Combination, sources: Sources, options: CombinationOptions) -> Tensor:
    """Stage 1: the parents in equal shares, along lines or along arcs."""
    if combination.interpolation == "linear":
        return Linear().merge(sources, Weights())
    if options.slerp_of == "weights":
        return weighted_sum(sources.parents, slerp_shares(_inner_products(sources.parents, None)))
    each = slerp_shares(_inner_products(sources.parents, sources.trunk))
    return weighted_sum((sources.trunk, *sources.parents), (1 - math.fsum(each), *each))


def with_task(combination: Combination, sources: Sources, options: CombinationOptions) -> Tensor:
    """Stage 2: the base with the parents' differences from it, as DARE or TIES merges them."""
    if combination.task == "dare":
        return Dare().merge(sources, DareOptions(drop=options.drop, lam=options.lam))
    return Ties().merge(sources, TiesOptions(density=options.density, lam=options.lam))


def blended(one: Tensor, other: Tensor, share: float) -> Tensor:
    """`share` of the other; two equal tensors come out as they were, to the bit."""
    return weighted_sum((one, other), (1 - share, share))


def within_band(tensor: Tensor, parents: Sequence[Tensor], band: float) -> Tensor:
    """Scaled to the nearest norm within ± band of the parents' quadratic mean norm; zero stays zero.

    DARE's rescaling makes tensors longer, and means of parents that disagree are shorter than each of them. Layers
    are tuned to the scale of what comes in, so a child far outside is broken, and of children that are all too
    short evolution would only learn to pick the longest. Quadratic, because squares of norms add up over tensors:
    kept in each tensor, the band is kept by the whole model.
    """
    length = math.sqrt(dot(tensor, tensor))
    usual = math.sqrt(math.fsum(dot(parent, parent) for parent in parents) / len(parents))
    allowed = min(max(length, (1 - band) * usual), (1 + band) * usual)
    return tensor if length in (0.0, allowed) else weighted_sum((tensor,), (allowed / length,))


def slerp_shares(products: Sequence[Sequence[float]]) -> list[float]:
    """Factor on each of the vectors that have these inner products: the second meets the first half-way, the third
    then comes in with a third, the fourth with a quarter, and so on. Zero vectors have no direction: a line."""
    each = [1.0]
    for newcomer in range(1, len(products)):
        along = math.fsum(factor * products[row][newcomer] for row, factor in enumerate(each))
        squared = math.fsum(a * b * products[i][j] for i, a in enumerate(each) for j, b in enumerate(each))
        lengths = math.sqrt(max(squared, 0.0)) * math.sqrt(products[newcomer][newcomer])
        cosine = along / lengths if lengths > 0 else 1.0
        old, new = shares(cosine, 1 / (newcomer + 1), SlerpOptions().eps)
        each = [old * factor for factor in each] + [new]
    return each


def _inner_products(parents: Sequence[Tensor], base: Tensor | None) -> list[list[float]]:
    """Of the parents, or of their differences from the base; in float64."""
    count = len(parents)
    flat = [parent.reshape(-1) for parent in parents]
    products = [[0.0] * count for _ in range(count)]
    for here in pieces(parents[0]):
        vectors = [parent[here].double() for parent in flat]
        if base is not None:
            origin = base.reshape(-1)[here].double()
            vectors = [vector - origin for vector in vectors]
        for i in range(count):
            for j in range(i, count):
                products[i][j] += float((vectors[i] * vectors[j]).sum())
    return [[products[min(i, j)][max(i, j)] for j in range(count)] for i in range(count)]
