"""What a phase of a run has said so far, in the order of its log: what figures are drawn from."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agentforge.kit.records import Record

_IS_ERROR = "standard error"  # a method says so of its spread; else that is a standard deviation of n samples
_LINES = 200  # of log that a page shows
_SAMPLES = 100  # an evolution of the full preset tells of 51 generations


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement, and when it was taken."""

    value: float
    step: int | None
    spread: float | None
    n: int
    time: str
    error: float | None = None
    """The standard error of `value`."""


@dataclass(slots=True)
class PhaseHistory:
    """Of one phase, over all its attempts."""

    phase: str
    series: dict[str, list[Point]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)
    log: deque[tuple[str, str, str]] = field(default_factory=lambda: deque(maxlen=_LINES))  # time, level, text
    samples: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    progress: list[tuple[str, int, int]] = field(default_factory=list)  # time, done, total of this attempt

    def last(self, name: str) -> Point | None:
        """The newest point of a measurement."""
        points = self.series.get(name)
        return points[-1] if points else None

    def feed(self, record: Record) -> None:
        time = record["time"]
        if "measurement" in record:
            self._measurement(record["measurement"], time)
        elif "progress" in record:
            said = record["progress"]
            self.progress.append((time, said.get("done", 0), said.get("total", 0)))
        elif "log" in record:
            self.log.append(
                (
                    time,
                    record["log"].get("level", "").removeprefix("LEVEL_").lower(),
                    record["log"].get("message", ""),
                )
            )
        elif "sample" in record:
            self.samples.append(record["sample"])
        elif "state_changed" in record:
            self._state(record, time)

    def _measurement(self, said: dict[str, Any], time: str) -> None:
        name = said["name"]
        self.units[name], self.methods[name] = said["unit"], said["method"]
        spread, n = said.get("spread"), said["n"]
        error = None if spread is None else spread if _IS_ERROR in said["method"] else spread / math.sqrt(n)
        point = Point(said["value"], said.get("step"), spread, n, time, error)
        points = self.series.setdefault(name, [])
        while points and point.step is not None and (points[-1].step or 0) >= point.step:
            points.pop()  # a resumed run does some steps once more
        points.append(point)

    def _state(self, record: Record, time: str) -> None:
        change = record["state_changed"]
        state = change["state"].removeprefix("RUN_STATE_").lower()
        self.log.append((time, "state", f"{state}: {change['reason']}" if change.get("reason") else state))
        if state == "running":
            self.progress.clear()


class History:
    """Of all phases of a run."""

    def __init__(self, phases: Sequence[str]) -> None:
        self.phases = {name: PhaseHistory(name) for name in phases}

    def feed(self, records: Sequence[Record]) -> None:
        for record in records:
            phase = self.phases.get(record["phase"])
            if phase is not None:
                phase.feed(record)
