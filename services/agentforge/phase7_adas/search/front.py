"""Who is beaten by nobody, and how much room the front takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentforge.phase7_adas.search.cost import Cost
from agentforge.phase7_adas.search.evaluate import Trial, Worth
from agentforge.shrink.pareto import Point, dominates, volume


@dataclass(frozen=True)
class Reference:
    """The input model: what budgets are shares of."""

    worth: Worth
    cost: Cost


@dataclass(frozen=True)
class Latency:
    """Of a decode step. `ratio`: to the input's, median over interleaved repeats."""

    ms: float
    ratio: float
    spread: float  # of the ratio: quartiles' distance / 1.349, which one preempted run does not move
    repeats: int
    engine: str


def front(trials: Sequence[Trial]) -> list[Trial]:
    """By accuracy, best first."""
    sound = [trial for trial in trials if not trial.flawed]
    points = {trial.number: _lower(trial) for trial in sound}
    kept = [t for t in sound if not any(dominates(points[o.number], points[t.number]) for o in sound)]
    return sorted(kept, key=lambda trial: (*_lower(trial), trial.number))


def hypervolume(trials: Sequence[Trial], reference: Cost) -> float:
    """Share of the box between nothing wrong at no cost, and nothing right at the input's."""
    points = [
        (1 - trial.worth.accuracy, trial.cost.bytes / reference.bytes, trial.cost.flops / reference.flops)
        for trial in front(trials)
    ]
    return volume([point for point in points if max(point) < 1], (1.0, 1.0, 1.0))


def _lower(trial: Trial) -> Point:
    accuracy, size, flops = trial.objectives
    return (-accuracy, size, flops)
