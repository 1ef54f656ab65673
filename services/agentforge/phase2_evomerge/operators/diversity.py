"""How differently two members of a population were made. What they say is compared in `evaluation.outcome`."""

from __future__ import annotations

import math
from collections.abc import Sequence


def recipe_distance(one: Sequence[float], other: Sequence[float], bounds: Sequence[tuple[float, float]]) -> float:
    """Mean difference of two recipes' numbers, each as a share of its range; 0 to 1."""
    shares = [abs(a - b) / (high - low) for a, b, (low, high) in zip(one, other, bounds, strict=True)]
    return math.fsum(shares) / len(shares)
