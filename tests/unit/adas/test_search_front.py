"""Who dominates whom, how much room there is, and the choice under budgets."""

from __future__ import annotations

import random
from typing import Any

import pytest

from agentforge.kit.config import validate_config
from agentforge.kit.errors import FailedPrecondition, InvalidInput
from agentforge.phase7_adas.configs.search import BudgetsConfig, SearchConfig


def trial(number: int, accuracy: float, size: int, flops: int, nats: float = 1.0) -> Any:
    from agentforge.phase7_adas.search.cost import Cost
    from agentforge.phase7_adas.search.evaluate import Trial, Worth

    return Trial(number, {}, 0, Worth(accuracy, nats, {"a": accuracy}), Cost(size, size, flops, flops))


def input_(accuracy: float = 0.5) -> Any:
    from agentforge.phase7_adas.search.front import Reference

    one = trial(0, accuracy, 100, 100)
    return Reference(one.worth, one.cost)


def test_the_front_has_whom_nobody_beats_and_no_diverged_one() -> None:
    from agentforge.phase7_adas.search.front import front

    trials = [
        trial(0, 0.5, 100, 100), trial(1, 0.5, 50, 100), trial(2, 0.4, 60, 100), trial(3, 0.3, 40, 90),
        trial(4, 0.0, 10, 10, nats=-1.0),
    ]  # fmt: skip
    assert [one.number for one in front(trials)] == [1, 3]


def test_the_volume_is_what_darts_find() -> None:
    from agentforge.shrink.pareto import volume

    dice = random.Random(3)
    points = [tuple(dice.random() for _ in range(3)) for _ in range(6)]
    darts = [tuple(dice.random() for _ in range(3)) for _ in range(8_000)]
    hit = sum(any(all(p <= d for p, d in zip(point, dart, strict=True)) for point in points) for dart in darts)
    assert volume(points, (1.0, 1.0, 1.0)) == pytest.approx(hit / len(darts), abs=0.02)
    assert volume([(0.5, 0.5, 0.5)], (1.0, 1.0, 1.0)) == 0.125


def test_the_smallest_that_keeps_the_budgets_is_chosen() -> None:
    from agentforge.phase7_adas.search.front import Latency, choose

    trials = [trial(0, 0.5, 100, 100), trial(1, 0.49, 50, 60), trial(2, 0.3, 10, 10), trial(3, 0.48, 49, 40)]

    def pick(budgets: BudgetsConfig, slow: dict[int, Latency]) -> int:
        return choose(trials, input_(), budgets, slow).number

    assert pick(BudgetsConfig(accuracy_lost=0.0), {}) == 0
    assert pick(BudgetsConfig(accuracy_lost=0.05), {}) == 3
    assert pick(BudgetsConfig(accuracy_lost=1.0), {}) == 2
    slow = {
        number: Latency(1.0, ratio, 0.0, 3, "torch") for number, ratio in ((0, 1.0), (1, 0.6), (2, 0.2), (3, 0.9))
    }
    assert pick(BudgetsConfig(accuracy_lost=0.05, latency=0.7), slow) == 1


def test_the_nearest_is_named_where_none_keeps_them() -> None:
    from agentforge.phase7_adas.search.front import choose

    trials = [trial(0, 0.5, 100, 100), trial(1, 0.4, 50, 60), trial(2, 0.1, 10, 10)]
    with pytest.raises(FailedPrecondition, match=r"trial 1 .*accuracy_lost 0\.2 where 0\.1 is allowed") as found:
        choose(trials, input_(), BudgetsConfig(accuracy_lost=0.1, bytes=60), {})
    assert found.value.reason == "BUDGET_NOT_REACHED"
    assert found.value.field == "search.budgets.accuracy_lost"
    with pytest.raises(FailedPrecondition, match="diverged"):
        choose([trial(0, 0.0, 9, 9, nats=-1.0)], input_(), BudgetsConfig(), {})


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"batch": 9, "trials": 8}, "batch"), ({"space": {"mlp": [1.0]}}, "space.mlp"),
        ({"space": {"bits": [5]}}, "space.bits"), ({"algorithm": "grid"}, "algorithm"),
        ({"healing": {"steps": 3, "warmup": 4}}, "healing"), ({"budgets": {"latency": 0.0}}, "budgets.latency"),
    ],
)  # fmt: skip
def test_a_bad_value_is_named(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as found:
        validate_config(SearchConfig, values)
    assert any(one.field.startswith(field) for one in found.value.violations)


def test_where_all_candidates_lose_too_much_the_input_stays_as_it_came() -> None:
    from agentforge.phase7_adas.search.search import _chosen

    told: list[str] = []

    class Listening:
        def log(self, message: str, level: str = "info") -> None:
            told.append(message)

    worse, listening = [trial(0, 0.1, 100, 100), trial(1, 0.1, 50, 50)], Listening()
    free = validate_config(SearchConfig, {"budgets": {"nats_lost": None}})
    assert _chosen(listening, worse, input_(), free, {}) is None  # type: ignore[arg-type]
    assert "stays as it came" in told[0]
    smaller = validate_config(SearchConfig, {"budgets": {"nats_lost": None, "bytes": 60}})
    with pytest.raises(FailedPrecondition, match="none of 2 candidates"):
        _chosen(listening, worse, input_(), smaller, {})  # type: ignore[arg-type]
