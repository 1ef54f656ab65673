"""The learning rate of every step."""

import pytest

from agentforge.train.config import TrainConfig
from agentforge.train.schedule import rate


def test_a_warm_up_rises_in_equal_parts_and_its_first_step_already_learns() -> None:
    config = TrainConfig(steps=100, warmup=4, schedule="constant")
    assert [rate(step, config) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_wsd_is_stable_and_then_falls_to_its_floor() -> None:
    config = TrainConfig(steps=10, warmup=0, schedule="wsd", decay=0.5, floor=0.1)
    assert [rate(step, config) for step in range(6)] == [1] * 6
    assert [rate(step, config) for step in range(6, 10)] == pytest.approx([0.82, 0.64, 0.46, 0.28])


def test_cosine_is_half_way_down_in_the_middle() -> None:
    config = TrainConfig(steps=110, warmup=10, schedule="cosine", floor=0.2)
    assert rate(10, config) == 1
    assert rate(60, config) == pytest.approx(0.6)
    assert 0.2 < rate(109, config) < 0.201


@pytest.mark.parametrize("schedule", ["constant", "cosine", "wsd"])
def test_no_step_stands_still(schedule: str) -> None:
    config = TrainConfig.model_validate({"steps": 50, "warmup": 5, "schedule": schedule, "decay": 1.0})
    assert all(0 < rate(step, config) <= 1 for step in range(50))
