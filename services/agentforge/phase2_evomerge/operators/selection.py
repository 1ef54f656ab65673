"""Who comes first, and who may have children."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng


def ranked(fitness: Sequence[float]) -> list[int]:
    """Indices from the fittest to the least fit; of equals, the lower index comes first."""
    for index, value in enumerate(fitness):
        if math.isnan(value):
            raise InvalidInput(
                f"the fitness of individual {index} is NaN, which has no rank", reason="NOT_FINITE", field="fitness"
            )
    return sorted(range(len(fitness)), key=lambda index: (-fitness[index], index))


def tournament(fitness: Sequence[float], size: int, rng: Rng) -> int:
    """The fittest of `size` different individuals drawn by lot."""
    drawn = set(rng.python().sample(range(len(fitness)), size))
    return next(index for index in ranked(fitness) if index in drawn)
