"""Selection losses over the steps of a training, compared. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Curve = Sequence[Sequence[float]]  # step and loss


@dataclass(frozen=True)
class Took:
    """Steps until the target was met; or steps made, where it never was."""

    steps: float
    there: bool


def target(curve: Curve, share: float = 0.75) -> float:
    """The lowest loss in so much of a training."""
    return min(loss for step, loss in curve if step <= share * curve[-1][0])


def took(curve: Curve, wanted: float) -> Took:
    step = next((step for step, loss in curve if loss <= wanted), None)
    return Took(curve[-1][0] if step is None else step, step is not None)


def bounded(method: str, found: Sequence[Took], seeds: Sequence[Any], how: str = "at least") -> str:
    """Says which seeds never got there, so that their steps are a bound."""
    late = [f"{seed} by {each.steps:,.0f}" for seed, each in zip(seeds, found, strict=True) if not each.there]
    return f"{method}; {how}: not there: seed {', '.join(late)}" if late else method
