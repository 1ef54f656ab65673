"""What one evaluation of one candidate found. Plain numbers: they cross the wire, and survive in checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentforge.kit.errors import DataLoss


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

    def record(self) -> dict[str, Any]:
        """Plain JSON, exact to the bit; a loss that is no number becomes its name."""
        nats = {name: value if math.isfinite(value) else str(value) for name, value in self.nats.items()}
        return {
            "nats": nats,
            "accuracies": self.accuracies,
            "predicted": self.predicted_A.tolist(),
            "steps": self.steps,
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Outcome:
        try:
            nats = {str(name): float(value) for name, value in record["nats"].items()}
            accuracies = {str(name): float(value) for name, value in record["accuracies"].items()}
            return cls(nats, accuracies, np.array(record["predicted"], np.int32), float(record["steps"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            message = f"a saved outcome cannot be read: {error!r}"
            step = "Delete this checkpoint; the one before it is used."
            raise DataLoss(message, reason="CHECKPOINT_BROKEN", field="outcome", next_step=step) from error
