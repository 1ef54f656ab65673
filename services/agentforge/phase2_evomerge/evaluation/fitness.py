"""Fitness: perplexity, accuracy, speed and memory, each relative to the parents, so weights mean what they say.

Summed raw, as some do it, bytes and milliseconds would drown quality. Relative, every term is 1.0 at the parents'
reference, whatever its unit, and so is their weighted sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from agentforge.kit.config import StrictModel, Unfit
from agentforge.kit.errors import InvalidInput

_SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class Terms:
    """What was measured of one model, in its own units."""

    perplexity: float  # per answer token, exponential of the mean loss over families
    accuracy: float  # 0 to 1, mean over families
    flops_per_token: float  # counted, at the measured ponder steps
    bytes: int  # of all tensors

    @property
    def flaw(self) -> str:
        """Why these numbers make no fitness; empty where they do."""
        if math.isfinite(self.perplexity):
            return ""
        if math.isnan(self.perplexity):
            return "its loss on held-out questions is not a number"
        return "its perplexity on held-out questions is too large for a number"


@dataclass(frozen=True, slots=True)
class Ratios:
    """A model against the reference: 1.0 is as good, higher is better."""

    perplexity: float
    accuracy: float
    speed: float
    memory: float


class FitnessWeights(StrictModel):
    perplexity: float = Field(0.4, ge=0, le=1, description="Weight of the parents' perplexity over the child's.")
    accuracy: float = Field(0.3, ge=0, le=1, description="Weight of the child's accuracy over the parents'.")
    speed: float = Field(0.2, ge=0, le=1, description="Weight of the parents' FLOPs per token over the child's.")
    memory: float = Field(0.1, ge=0, le=1, description="Weight of the parents' bytes over the child's.")

    @model_validator(mode="after")
    def _shares_of_one(self) -> Self:
        weights: dict[str, float] = self.model_dump()
        total = math.fsum(weights.values())
        if abs(total - 1) > _SLACK:
            listed = " + ".join(f"{name} {value:g}" for name, value in weights.items())
            raise Unfit(
                "perplexity",
                f"the weights must sum to 1; {listed} is {total:g}",
                reason="WEIGHTS_SUM",
                next_step="Raise or lower any of the four.",
            )
        return self


def reference(parents: Sequence[Terms]) -> Terms:
    """What a child is held against: the parents' mean.

    Of perplexities the geometric mean, which is the exponential of the mean loss: losses add, and the arithmetic
    mean would be that of the worst parent alone. The other terms add as they are.
    """
    if not parents:
        raise InvalidInput("fitness is relative to the parents, and there are none", reason="NO_PARENTS")
    for number, parent in enumerate(parents, start=1):
        if parent.flaw:
            message = f"parent {number} of {len(parents)} is no reference: {parent.flaw}"
            step = "Leave this model out, or take an earlier checkpoint of it."
            raise InvalidInput(message, reason="NOT_FINITE", field=f"parents[{number - 1}]", next_step=step)
    count = len(parents)
    return Terms(
        math.exp(math.fsum(math.log(each.perplexity) for each in parents) / count),
        math.fsum(each.accuracy for each in parents) / count,
        math.fsum(each.flops_per_token for each in parents) / count,
        round(sum(each.bytes for each in parents) / count),
    )


def relative(terms: Terms, base: Terms) -> Ratios:
    """Each term against the reference.

    Where no parent gets anything right there is no accuracy to be relative to: the term is then 1 + the child's
    own, which is still 1.0 at the reference, grows with every right answer and divides by nothing.
    """
    accuracy = terms.accuracy / base.accuracy if base.accuracy > 0 else 1 + terms.accuracy
    return Ratios(
        base.perplexity / terms.perplexity,
        accuracy,
        base.flops_per_token / terms.flops_per_token,
        base.bytes / terms.bytes,
    )


def composite(terms: Terms, base: Terms, weights: FitnessWeights) -> float:
    """The weighted sum. A child with a flaw is the worst there is, which selection understands; `flaw` says why."""
    if terms.flaw:
        return -math.inf
    ratios = relative(terms, base)
    return math.fsum(
        (
            weights.perplexity * ratios.perplexity,
            weights.accuracy * ratios.accuracy,
            weights.speed * ratios.speed,
            weights.memory * ratios.memory,
        )
    )
