"""Who is beaten by nobody, how much room the front takes, and who is chosen under the budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentforge.kit.errors import FailedPrecondition
from agentforge.phase7_adas.configs.search import BudgetsConfig
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


def misses(
    trial: Trial, reference: Reference, budgets: BudgetsConfig, latency: Latency | None
) -> dict[str, tuple[float, float]]:
    """What of a budget it does not keep: its value, and the most that is allowed."""
    accuracy = reference.worth.accuracy
    values: list[tuple[str, float, float | None]] = [
        ("accuracy_lost", 1 - trial.worth.accuracy / accuracy if accuracy else 0.0, budgets.accuracy_lost),
        ("nats_lost", trial.worth.nats - reference.worth.nats, budgets.nats_lost),
        ("parameters", trial.cost.parameters / reference.cost.parameters, budgets.parameters),
        ("bytes", trial.cost.bytes, budgets.bytes),
    ]
    if latency is not None:
        values += [("latency", latency.ratio, budgets.latency), ("latency_ms", latency.ms, budgets.latency_ms)]
    return {name: (value, most) for name, value, most in values if most is not None and value > most}


def choose(
    trials: Sequence[Trial], reference: Reference, budgets: BudgetsConfig, latencies: Mapping[int, Latency]
) -> Trial:
    """Of those that keep the budgets, the one that is smallest and cheapest: by bytes times FLOPs."""
    missed = {
        trial.number: misses(trial, reference, budgets, latencies.get(trial.number)) for trial in front(trials)
    }
    within = [trial for trial in front(trials) if not missed[trial.number]]
    if within:
        return min(within, key=lambda trial: (trial.cost.bytes * trial.cost.flops, trial.number))
    if not missed:
        message = f"the training of all {len(trials)} candidates diverged: there is nothing to choose from"
        step = "Lower search.healing.lr and search.healing.muon_lr."
        raise FailedPrecondition(message, reason="ALL_DIVERGED", field="search.healing", next_step=step)
    nearest = min(front(trials), key=lambda trial: (_beyond(missed[trial.number]), trial.number))
    lacks = ", ".join(
        f"{name} {value:.4g} where {most:.4g} is allowed" for name, (value, most) in missed[nearest.number].items()
    )
    message = (
        f"none of {len(trials)} candidates keeps the budgets; the nearest, trial {nearest.number} "
        f"{nearest.genes}, has {lacks}"
    )
    field = f"search.budgets.{next(iter(missed[nearest.number]))}"
    step = "Allow that much, heal for more steps, or search longer."
    raise FailedPrecondition(message, reason="BUDGET_NOT_REACHED", field=field, next_step=step)


def kept_by_input(budgets: BudgetsConfig, reference: Reference) -> bool:
    """It loses nothing; so unless it is to be smaller or faster, there is always one to go on with."""
    small = budgets.parameters >= 1 and (budgets.bytes is None or reference.cost.bytes <= budgets.bytes)
    return small and (budgets.latency is None or budgets.latency >= 1) and budgets.latency_ms is None


def _beyond(missed: Mapping[str, tuple[float, float]]) -> float:
    """How far outside, in parts of what is allowed; what is lost counts in parts of all."""
    return sum(
        value - most if name.endswith("_lost") else value / most - 1 for name, (value, most) in missed.items()
    )


def _lower(trial: Trial) -> Point:
    accuracy, size, flops = trial.objectives
    return (-accuracy, size, flops)
