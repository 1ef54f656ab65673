"""How different the members of a population are: in what they say, in how they were made, in their weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from agentforge.phase2_evomerge.operators.tensors import Tensors


def disagreement(predictions: Sequence[Tensor]) -> float:
    """Mean over all pairs of the share of places where the two predict different tokens; 0 to 1."""
    return _mean_over_pairs(
        [float((one != other).double().mean()) for one, other in itertools.combinations(predictions, 2)]
    )


def recipe_distance(one: Sequence[float], other: Sequence[float], bounds: Sequence[tuple[float, float]]) -> float:
    """Mean difference of two recipes' numbers, each as a share of its range; 0 to 1."""
    shares = [abs(a - b) / (high - low) for a, b, (low, high) in zip(one, other, bounds, strict=True)]
    return math.fsum(shares) / len(shares)


def weight_distance(models: Sequence[Tensors]) -> float:
    """Mean distance over all pairs, over the mean norm."""
    from agentforge.phase2_evomerge.operators.tensors import distance, norm

    between = _mean_over_pairs([distance(one, other) for one, other in itertools.combinations(models, 2)])
    return between / (math.fsum(map(norm, models)) / len(models)) if between else 0.0


def _mean_over_pairs(values: Sequence[float]) -> float:
    """One alone has no pair, and no diversity."""
    return math.fsum(values) / len(values) if values else 0.0
