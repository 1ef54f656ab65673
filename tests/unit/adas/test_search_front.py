"""Who dominates whom, and how much room there is; settings that are refused."""

from __future__ import annotations

import random
from typing import Any

import pytest

from agentforge.kit.config import validate_config
from agentforge.kit.errors import InvalidInput
from agentforge.phase7_adas.configs.search import SearchConfig


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


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"batch": 9, "trials": 8}, "batch"), ({"space": {"mlp": [1.0]}}, "space.mlp"),
        ({"space": {"bits": [5]}}, "space.bits"), ({"algorithm": "grid"}, "algorithm"),
        ({"healing": {"steps": 3, "warmup": 4}}, "healing"), ({"budgets": {"latency": 0.0}}, "budgets.latency"),
        ({"confirm_items": 9}, "confirm_items"), ({"budgets": {"margin": -1.0}}, "budgets.margin"),
    ],
)  # fmt: skip
def test_a_bad_value_is_named(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as found:
        validate_config(SearchConfig, values)
    assert any(one.field.startswith(field) for one in found.value.violations)
