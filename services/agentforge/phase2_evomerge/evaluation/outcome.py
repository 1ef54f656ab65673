"""What one evaluation of one candidate found. Plain numbers, which cross the wire between ranks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Outcome:
    nats: dict[str, float]  # by family: mean loss of an answer token
    accuracies: dict[str, float]  # by family: share of items whose every answer token is the likeliest
    predicted_A: NDArray[np.int32]  # the likeliest token at each answer position of the items
    steps: float  # mean ponder steps of a token; 1 for models that do not ponder

    @property
    def loss(self) -> float:
        """Every family counts the same, however long its answers."""
        return math.fsum(self.nats.values()) / len(self.nats)

    @property
    def perplexity(self) -> float:
        try:
            return math.exp(self.loss)
        except OverflowError:
            return math.inf

    @property
    def accuracy(self) -> float:
        return math.fsum(self.accuracies.values()) / len(self.accuracies)

    def disagreement(self, other: Outcome) -> float:
        """Share of the answer positions at which two models say different tokens."""
        return float(np.mean(self.predicted_A != other.predicted_A))
