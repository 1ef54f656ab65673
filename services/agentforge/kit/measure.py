"""The one type of a reported number. It cannot be made without saying how it was measured, and on how much."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measured value. `spread` is the standard deviation over `n` samples, where that has a meaning."""

    name: str  # slash-separated, as in W&B: "evomerge/best_fitness"
    value: float
    unit: str  # "1" for ratios, "s", "By", "nat", "bit/By", "token/s"
    method: str
    n: int
    spread: float | None = None
    step: int | None = None

    def __post_init__(self) -> None:
        if not self.name or not self.unit or not self.method:
            raise ValueError(f"a measurement needs a name, a unit and a method: {self!r}")
        if not math.isfinite(self.value):
            raise ValueError(f"{self.name} is {self.value}: a measurement is a finite number")
        if self.n < 1:
            raise ValueError(f"{self.name} has n={self.n}: nothing was measured")
        if self.spread is not None and not (math.isfinite(self.spread) and self.spread >= 0):
            raise ValueError(f"{self.name} has spread {self.spread}")

    @classmethod
    def of_samples(cls, name: str, samples: Sequence[float], unit: str, method: str) -> Measurement:
        """Mean and standard deviation of what was measured; the spread of one sample is unknown, not zero."""
        spread = statistics.stdev(samples) if len(samples) > 1 else None
        return cls(name, statistics.fmean(samples), unit, method, len(samples), spread)
