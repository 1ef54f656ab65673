"""One number of the safety case, with what it was measured on, and the bar that it is held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from agentforge.kit.measure import Measurement

HERE = "measured here, by this code"


@dataclass(frozen=True)
class Result:
    """`low` and `high` bound it at 95 % where that has a meaning. A bar is met only by the whole interval."""

    key: str
    value: float
    unit: str
    n: int
    method: str
    low: float | None = None
    high: float | None = None
    bar: float | None = None
    sense: Literal["at most", "at least"] = "at most"
    source: str = HERE
    """Where it was measured, and by which code."""

    @property
    def met(self) -> bool | None:
        """None without a bar."""
        if self.bar is None:
            return None
        if self.sense == "at most":
            return (self.value if self.high is None else self.high) <= self.bar
        return (self.value if self.low is None else self.low) >= self.bar

    @property
    def verdict(self) -> str:
        """Between the two is where the value is right and the sample is too small to say so."""
        if self.met is None:
            return "measured"
        if self.met:
            return "reached"
        assert self.bar is not None
        near = self.value <= self.bar if self.sense == "at most" else self.value >= self.bar
        return "not shown: too few cases" if near else "not reached"

    def told(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}

    def measurement(self) -> Measurement:
        half = None if self.low is None or self.high is None else (self.high - self.low) / 2
        return Measurement(f"adas/drive/{self.key}", self.value, self.unit, self.method, self.n, half)


def again(told: Mapping[str, Any]) -> Result:
    """The inverse of told()."""
    return Result(**{name: value for name, value in told.items() if name != "verdict"})


def by_key(results: Iterable[Result]) -> dict[str, Result]:
    found: dict[str, Result] = {}
    for one in results:
        if one.key in found:
            raise ValueError(f"{one.key} was measured twice")
        found[one.key] = one
    return found
