"""SLERP: along the arc between two parents (Shoemake 1985), each tensor being one long vector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from agentforge.kit.config import StrictModel
from agentforge.kit.errors import InvalidInput
from agentforge.phase2_evomerge.methods.base import Sources
from agentforge.phase2_evomerge.methods.weights import CHUNK, weighted_sum

if TYPE_CHECKING:
    from torch import Tensor


class SlerpOptions(StrictModel):
    t: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Of two parents, the share of the second. None: equal shares, of three as well.",
    )
    eps: float = Field(
        5e-4, ge=1e-12, le=0.1, description="Parents whose |cos θ| is above 1 - eps are interpolated along a line."
    )


class Slerp:
    """Of three parents, the first two meet half-way, and then go a third of the way to the third."""

    name = "slerp"
    needs_base = False
    parents_min, parents_max = 2, 3
    Options = SlerpOptions

    def merge(self, sources: Sources, options: SlerpOptions) -> Tensor:
        first, second, *third = sources.parents
        if third and options.t is not None:
            raise InvalidInput(
                "t is for two parents; three are merged in equal shares",
                reason="T_WITH_THREE_PARENTS",
                field="t",
                next_step="Leave t out, or name two parents.",
            )
        merged = slerp(first, second, 0.5 if options.t is None else options.t, options.eps)
        return slerp(merged, third[0], 1 / 3, options.eps) if third else merged


def slerp(first: Tensor, second: Tensor, t: float, eps: float) -> Tensor:
    """Sum of both under sin((1-t)θ)/sin θ and sin(tθ)/sin θ; lengths are not evened out first.

    A line takes the arc's place where there is no arc, or no single one: parallel (θ = 0), opposite (the line then
    goes through zero), or one of the two zero.
    """
    return weighted_sum((first, second), shares(_cosine(first, second), t, eps))


def shares(cosine: float, t: float, eps: float) -> tuple[float, float]:
    """Factors on two vectors with this cos θ between them."""
    if abs(cosine) > 1 - eps:
        return 1 - t, t
    angle = math.acos(cosine)
    return math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def _cosine(first: Tensor, second: Tensor) -> float:
    """In float64; 1 where a zero vector has no direction."""
    first_first = first_second = second_second = 0.0
    first, second = first.reshape(-1), second.reshape(-1)
    for start in range(0, first.numel(), CHUNK):
        a, b = first[start : start + CHUNK].double(), second[start : start + CHUNK].double()
        # Not a.dot(b): what BLAS sums depends, in the last bits, on the number of threads.
        first_first += float((a * a).sum())
        first_second += float((a * b).sum())
        second_second += float((b * b).sum())
    norms = math.sqrt(first_first) * math.sqrt(second_second)
    return first_second / norms if norms > 0 else 1.0
