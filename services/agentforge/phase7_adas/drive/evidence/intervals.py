"""How sure a rate is, and how many cases a claim about a rare event needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rate:
    """`events` of `n`, with a Wilson interval at CONFIDENCE."""

    events: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.events <= self.n or self.n < 1:
            raise ValueError(f"{self.events} events of {self.n} are no rate")

    @property
    def value(self) -> float:
        return self.events / self.n

    @property
    def interval(self) -> tuple[float, float]:
        z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
        p, n = self.value, self.n
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return (0.0 if self.events == 0 else middle - half), (1.0 if self.events == n else middle + half)

    def told(self) -> dict[str, float | int]:
        low, high = self.interval
        return {"events": self.events, "n": self.n, "rate": self.value, "low": low, "high": high}


def cases_needed(rate: float) -> int:
    """Independent cases without one event, after which a rate as high as this is refused at CONFIDENCE."""
    if not 0 < rate < 1:
        raise ValueError(f"{rate} is no rate of a rare event")
    return math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-rate))


def per_hour(events: int, hours: float) -> tuple[float, float, float]:
    """Events an hour with an exact Poisson interval at CONFIDENCE."""
    if hours <= 0:
        raise ValueError(f"{hours} hours were driven: nothing was measured")
    tail = (1 - CONFIDENCE) / 2
    low = _poisson_bound(events - 1, 1 - tail) if events else 0.0
    return events / hours, low / hours, _poisson_bound(events, tail) / hours


def _poisson_bound(count: int, probability: float) -> float:
    """The mean at which `count` or fewer have this probability, by bisection."""
    low, high = 0.0, 10.0 + 3.0 * count
    for _ in range(80):
        middle = (low + high) / 2
        if _at_most(count, middle) > probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _at_most(count: int, mean: float) -> float:
    if mean == 0:
        return 1.0
    logs = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(count + 1)]
    top = max(logs)
    return math.exp(top) * sum(math.exp(each - top) for each in logs)
