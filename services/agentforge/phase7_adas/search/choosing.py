"""Who is chosen under the budgets: of the finalists, by what the fresh items say, with a margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentforge.kit.errors import FailedPrecondition
from agentforge.phase7_adas.configs.search import BudgetsConfig, SearchConfig
from agentforge.phase7_adas.search.confirm import Loss
from agentforge.phase7_adas.search.cost import Cost
from agentforge.phase7_adas.search.evaluate import Trial
from agentforge.phase7_adas.search.front import Latency, Reference, front

Missed = Mapping[str, tuple[float, float]]
"""What of a budget is not kept: its value, and the most that is allowed."""


@dataclass(frozen=True)
class Bar:
    """`accuracy`: of what losses are against, on their items. `input`: what sizes are shares of."""

    accuracy: float
    input: Cost
    budgets: BudgetsConfig
    latencies: Mapping[int, Latency]

    def missed(self, trial: Trial, loss: Loss) -> Missed:
        budgets, latency = self.budgets, self.latencies.get(trial.number)
        most = loss.accuracy + budgets.margin * loss.error
        values: list[tuple[str, float, float | None]] = [
            ("accuracy_lost", most / self.accuracy if self.accuracy else 0.0, budgets.accuracy_lost),
            ("nats_lost", loss.nats, budgets.nats_lost),
            ("parameters", trial.cost.parameters / self.input.parameters, budgets.parameters),
            ("bytes", trial.cost.bytes, budgets.bytes),
        ]
        if latency is not None:
            values += [("latency", latency.ratio, budgets.latency), ("latency_ms", latency.ms, budgets.latency_ms)]
        return {name: (value, most) for name, value, most in values if most is not None and value > most}

    @property
    def kept_by_input(self) -> bool:
        """It loses nothing; so unless it is to be smaller or faster, there is always one to go on with."""
        budgets = self.budgets
        small = budgets.parameters >= 1 and (budgets.bytes is None or self.input.bytes <= budgets.bytes)
        return small and (budgets.latency is None or budgets.latency >= 1) and budgets.latency_ms is None


def finalists(
    trials: Sequence[Trial], reference: Reference, config: SearchConfig, latencies: Mapping[int, Latency]
) -> list[Trial]:
    """Of the front, whom the search's own items speak for: who keeps the budgets, smallest first; then the nearest.

    The unsearched, which is no smaller, only where there is no other.
    """
    best = front(trials)
    if not best:
        message = f"the training of all {len(trials)} candidates diverged: there is nothing to choose from"
        step = "Lower search.healing.lr and search.healing.muon_lr."
        raise FailedPrecondition(message, reason="ALL_DIVERGED", field="search.healing", next_step=step)
    bar = Bar(reference.worth.accuracy, reference.cost, config.budgets, latencies)
    losses = {one.number: _seen(one, reference) for one in best}
    return _in_order([one for one in best if one.genes != trials[0].genes] or best, losses, bar)[: config.finalists]


def choose(some: Sequence[Trial], losses: Mapping[int, Loss], bar: Bar) -> tuple[Trial, Missed]:
    """The smallest and cheapest that keeps the budgets, or else the nearest; and what it misses."""
    first = _in_order(some, losses, bar)[0]
    return first, bar.missed(first, losses[first.number])


def not_reached(trial: Trial, missed: Missed, of: int) -> FailedPrecondition:
    lacks = ", ".join(f"{name} {value:.4g} where {most:.4g} is allowed" for name, (value, most) in missed.items())
    nearest = f"trial {trial.number} {trial.genes}"
    message = f"none of {of} candidates keeps the budgets; the nearest, {nearest}, has {lacks}"
    field = f"search.budgets.{next(iter(missed))}"
    step = "Allow that much, heal for more steps, or search longer."
    return FailedPrecondition(message, reason="BUDGET_NOT_REACHED", field=field, next_step=step)


def _in_order(some: Sequence[Trial], losses: Mapping[int, Loss], bar: Bar) -> list[Trial]:
    """Those that keep the budgets by bytes times FLOPs; then the others, the nearest first."""

    def place(one: Trial) -> tuple[float, int, int]:
        return (_beyond(bar.missed(one, losses[one.number])), one.cost.bytes * one.cost.flops, one.number)

    return sorted(some, key=place)


def _seen(trial: Trial, reference: Reference) -> Loss:
    """On the search's own items, whose pairs are not kept."""
    mine, theirs = trial.worth, reference.worth
    return Loss(theirs.accuracy - mine.accuracy, 0.0, mine.nats - theirs.nats)


def _beyond(missed: Missed) -> float:
    """How far outside, in parts of what is allowed; what is lost counts in parts of all."""
    return sum(
        value - most if name.endswith("_lost") else value / most - 1 for name, (value, most) in missed.items()
    )
