"""How hard the items of each family are: steered to where the model is right 55-75 % of the time, or not steered.

A difficulty is a real number: between two of a family's own, items of both are mixed. How much success a move costs
is seen in the same measurement, which has items of both: families differ in it by far more than a fixed gain could
serve. (What earlier moves did says less: a gain that doubled while they did too little took what was learned
meanwhile for their failure, and threw real trainings out of the band.) Learning goes on: so the difficulty has a
speed besides, which every error changes a little; without it a steady learner would stay ahead.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from agentforge.kit.errors import FailedPrecondition
from agentforge.phase5_training.configs.edge import EdgeConfig

Mix = dict[int, float]
"""Weights of difficulties, above 0, of sum 1, the easiest first."""

Counts = Mapping[int, tuple[int, int]]
"""By difficulty: how many items were answered rightly, and of how many."""

# Measurements since the last move that are pooled: longer, and the model is no longer what they saw.
_REMEMBERED = 4
_SHARE_OF_MOVE = 0.5  # of what would undo an error, once there is learning: some of it is noise
_SHARE_OF_SPEED = 0.075  # of the same, each error adds this to the speed
_FASTEST = 0.05  # of the family's range, from one measurement to the next
_KEPT = 0.9  # of the evidence of a slope, from one measurement to the next
_PRIOR = 8.0  # evidence, in items, that one difficulty takes success from 1 to 0: so the first moves are short
_LEAST_SLOPE = 0.05  # below it, what is measured is noise


def wilson(right: int, n: int, z: float) -> tuple[float, float]:
    """The interval of the true success that `right` of `n` speak for (Wilson 1927)."""
    share, spread = right / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return middle - half, middle + half


def between(levels: Sequence[int], difficulty: float) -> Mix:
    """The two levels on either side, the nearer the more; `levels` rise."""
    place = bisect_right(levels, difficulty) - 1
    low = levels[place]
    if low == difficulty:
        return {low: 1.0}
    high = levels[place + 1]
    weight = (difficulty - low) / (high - low)
    return {low: 1 - weight, high: weight}


class Difficulties(ABC):
    """Of each family, with what was measured of it. `families`: their difficulties."""

    def __init__(self, config: EdgeConfig, families: Mapping[str, Sequence[int]]) -> None:
        self.config = config
        self.levels = {name: sorted(set(levels)) for name, levels in sorted(families.items())}
        self.curve: list[dict[str, Any]] = []

    @abstractmethod
    def mix(self, family: str) -> Mix: ...

    def difficulty(self, family: str) -> float:
        return math.fsum(level * weight for level, weight in self.mix(family).items())

    def observe(self, family: str, counts: Counts, *, step: int) -> None:
        """What was answered rightly of items of the current mix, after `step` steps."""
        right, n = total(counts)
        point = {"step": step, "family": family, "success": right / n, "items": n}
        self.curve.append({**point, "difficulty": self.difficulty(family)})

    def time_in_band(self, family: str | None = None, since: int = 0) -> float:
        """Share of measurements inside the band; of all families together where none is named.

        Noise counts: a model that is truly right 65 % of the time is measured outside 55-75 % in 1 of 11 times by
        64 items, in 1 of 60 by 128.
        """
        found: list[bool] = [
            self.config.low <= point["success"] <= self.config.high
            for point in self.curve
            if point["step"] >= since and family in (None, point["family"])
        ]
        return sum(found) / len(found)

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"levels": self.levels, "curve": list(self.curve)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state["levels"] != self.levels:
            message = f"the checkpoint's items have the difficulties {state['levels']}, this run has {self.levels}"
            step = "Resume with the data settings of the run, or start a new run."
            raise FailedPrecondition(message, reason="DATA_CHANGED", field="data.families", next_step=step)
        self.curve = list(state["curve"])


class Uniform(Difficulties):
    """All difficulties alike, from the first step to the last."""

    def mix(self, family: str) -> Mix:
        levels = self.levels[family]
        return dict.fromkeys(levels, 1 / len(levels))


class EasyToHard(Difficulties):
    """From the easiest to the hardest in even parts, whatever was learned. It moves where Edge would measure."""

    def __init__(self, config: EdgeConfig, families: Mapping[str, Sequence[int]], steps: int) -> None:
        super().__init__(config, families)
        self.steps = steps
        self._done = dict.fromkeys(self.levels, 0.0)  # share of all steps, at the last measurement

    def mix(self, family: str) -> Mix:
        low, high = self.levels[family][0], self.levels[family][-1]
        return between(self.levels[family], low + (high - low) * self._done[family])

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "done": dict(self._done)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._done = dict(state["done"])

    def observe(self, family: str, counts: Counts, *, step: int) -> None:
        super().observe(family, counts, step=step)
        self._done[family] = min(1.0, step / self.steps)


@dataclass
class _Knob:
    """Of one family."""

    difficulty: float
    speed: float = 0.0  # difficulty from one measurement to the next
    steering: bool = False
    evidence: float = _PRIOR  # in items: what the slope was measured with
    fall: float = _PRIOR  # slope times evidence
    seen: list[list[int]] = field(default_factory=list)  # [right, n] since the last move

    @property
    def gain(self) -> float:
        """Difficulty per unit of error."""
        return 1 / max(self.fall / self.evidence, _LEAST_SLOPE)

    def compare(self, levels: Sequence[int], counts: Counts) -> None:
        """What success loses from one difficulty to the next, in the same moment."""
        evidence, fall = _KEPT * (self.evidence - _PRIOR), _KEPT * (self.fall - _PRIOR)
        for easier, harder in pairwise(levels):
            if easier in counts and harder in counts:
                (right, n), (right_harder, n_harder) = counts[easier], counts[harder]
                items = n * n_harder / (n + n_harder)
                evidence += items
                fall += items * (right / n - right_harder / n_harder) / (harder - easier)
        self.evidence, self.fall = evidence + _PRIOR, fall + _PRIOR


class Edge(Difficulties):
    """A controller for each family: errors move its difficulty, and without any it goes on as it went."""

    def __init__(self, config: EdgeConfig, families: Mapping[str, Sequence[int]]) -> None:
        super().__init__(config, families)
        self._knobs = {name: _Knob(float(levels[0])) for name, levels in self.levels.items()}

    def mix(self, family: str) -> Mix:
        return between(self.levels[family], self._knobs[family].difficulty)

    def difficulty(self, family: str) -> float:
        return self._knobs[family].difficulty

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "knobs": {name: asdict(knob) for name, knob in self._knobs.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._knobs = {name: _Knob(**knob) for name, knob in state["knobs"].items()}

    def observe(self, family: str, counts: Counts, *, step: int) -> None:
        """Before the first step nothing is learned: then there are moves and no speed."""
        super().observe(family, counts, step=step)
        knob, low, high = self._knobs[family], self.levels[family][0], self.levels[family][-1]
        knob.compare(self.levels[family], counts)
        right, n = total(counts)
        largest = self.config.largest * (high - low)
        move = _bounded(self._move(knob, right, n), -largest, largest)
        if step > 0:
            move *= _SHARE_OF_MOVE
            fastest = _FASTEST * (high - low)
            half = (self.config.high - self.config.low) / 2
            error = _bounded(right / n - self.config.target, -half, half)  # what is beyond the band is for moves
            knob.speed = _bounded(knob.speed + _SHARE_OF_SPEED * knob.gain * error, -fastest, fastest)
        wanted = knob.difficulty + move + knob.speed
        knob.difficulty = _bounded(wanted, low, high)
        if wanted != knob.difficulty:
            knob.speed = 0.0

    def _move(self, knob: _Knob, right: int, n: int) -> float:
        """Moves begin when success is surely off the target, and end when it is near: noise alone moves little."""
        knob.seen = [*knob.seen, [right, n]][-_REMEMBERED:]
        rights, items = (sum(column) for column in zip(*knob.seen, strict=True))
        error = rights / items - self.config.target
        least, most = wilson(rights, items, self.config.z)
        surely = not least <= self.config.target <= most
        knob.steering = abs(error) > self.config.hysteresis if knob.steering else surely
        if not knob.steering:
            return 0.0
        knob.seen = []
        return knob.gain * float(error)


def difficulties(config: EdgeConfig, families: Mapping[str, Sequence[int]], steps: int) -> Difficulties:
    """Of the kind that the config names; `steps` of the whole training."""
    if config.kind == "easy_to_hard":
        return EasyToHard(config, families, steps)
    return Edge(config, families) if config.kind == "edge" else Uniform(config, families)


def total(counts: Counts) -> tuple[int, int]:
    rights, items = zip(*counts.values(), strict=True)
    return sum(rights), sum(items)


def _bounded(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
