from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentforge.kit.config import validate_config
from agentforge.kit.errors import InvalidInput
from agentforge.phase5_training.configs.pace import PaceConfig
from agentforge.phase5_training.pace import STAGES, Beat, Pace

SIGNAL = {"boundaries": "signal", "fall": 0.1, "evaluations": 3}

WEIGHTS = st.tuples(*[st.integers(1, 50)] * 4)


def made(**values: Any) -> Pace:
    return Pace(validate_config(PaceConfig, values))


def shared(weights: tuple[int, ...], **values: Any) -> Pace:
    shares = {name: {"share": weight / sum(weights)} for name, weight in zip(STAGES, weights, strict=True)}
    return made(**shares, **values)


def test_the_stages_of_the_seeds() -> None:
    pace = made()
    assert pace.ends(100) == [10, 50, 80, 100]
    assert pace.at(0, 100) == Beat("warmup", 0.1, 0.0)
    assert pace.at(9, 100) == Beat("warmup", 1.0, 0.0)
    assert pace.at(10, 100) == pace.at(49, 100) == Beat("acceleration", 1.0, 1.0)
    assert pace.at(50, 100) == pace.at(79, 100) == Beat("consolidation", 0.2, 0.0)
    assert pace.at(80, 100) == Beat("refinement", 0.2, 0.0)
    assert pace.at(99, 100).rate == pytest.approx(0.2 / 20)  # the last step still learns


def test_refinement_ends_at_its_floor() -> None:
    pace = made(refinement={"rate": 1.0, "floor": 0.5})
    rates = [pace.at(step, 100).rate for step in range(80, 100)]
    assert rates[0] == 1.0
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.5 + 0.5 / 20)


def test_a_field_of_a_stage_leaves_the_others_as_they_are() -> None:
    config = made(consolidation={"share": 0.2}, refinement={"share": 0.3}).config
    assert config.consolidation.rate == 0.2
    assert config.acceleration.grokfast == 1.0


@settings(deadline=None, derandomize=True)
@given(weights=WEIGHTS, steps=st.integers(4, 500))
def test_every_step_belongs_to_one_stage_and_every_stage_has_one(weights: tuple[int, ...], steps: int) -> None:
    pace = shared(weights)
    stages = [pace.at(step, steps).stage for step in range(steps)]
    assert sorted(stages, key=STAGES.index) == stages
    counts = Counter(stages)
    assert set(counts) == set(STAGES)
    ends = [sum(counts[name] for name in STAGES[: place + 1]) for place in range(4)]
    assert ends == pace.ends(steps)


@settings(deadline=None, derandomize=True)
@given(weights=WEIGHTS, steps=st.integers(400, 100_000_000))
def test_a_boundary_is_at_the_nearest_step(weights: tuple[int, ...], steps: int) -> None:
    ends, total = shared(weights).ends(steps), 0
    for weight, end in zip(weights, ends, strict=True):
        total += weight
        assert abs(end - steps * total / sum(weights)) <= 0.5 + 1e-6


def test_of_two_steps_as_near_the_even_one() -> None:
    assert made().ends(25)[0] == 2  # 2.5
    assert made().ends(15)[:2] == [2, 8]  # 1.5, 7.5


@pytest.mark.parametrize("steps", [0, 3])
def test_fewer_steps_than_stages_are_refused(steps: int) -> None:
    with pytest.raises(InvalidInput, match="4 stages") as caught:
        made().at(0, steps)
    assert caught.value.reason == "TOO_FEW_STEPS"


@pytest.mark.parametrize("wrong", [{"warmup": {"share": 0.2}}, {"refinement": {"share": 0.1}}])
def test_shares_are_of_a_whole(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="add up to"):
        made(**wrong)


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"share": 0.0}, {"grokfast": -1.0}, {"speed": 2.0}])
def test_nonsense_about_a_stage_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match=r"^acceleration\."):
        made(acceleration=wrong)


def test_by_progress_the_loss_says_nothing() -> None:
    pace = made(evaluations=1)
    assert not any(pace.observe(step, 100, 5.0) for step in range(1, 100))
    assert pace.ends(100) == [10, 50, 80, 100]


def test_by_signal_a_stage_ends_once_the_loss_stands() -> None:
    pace = made(**SIGNAL)
    told = [
        pace.observe(step, 100, loss) for step, loss in [(12, 3.0), (14, 2.5), (16, 2.45), (18, 2.42), (20, 2.41)]
    ]
    assert told == [False, False, False, False, True]  # from 2.5 less than 0.1 in three evaluations
    assert pace.at(19, 100).stage == "acceleration"
    assert pace.at(20, 100).stage == "consolidation"
    assert pace.ends(100) == [10, 20, 68, 100]  # 80 steps, shared out as 3 to 2


def test_a_slow_fall_is_one_too() -> None:
    pace = made(**SIGNAL)
    assert not any(pace.observe(step, 1000, 3.0 - 0.04 * step) for step in range(101, 480))
    assert pace.ends(1000) == [100, 500, 800, 1000]


def test_a_new_stage_sees_anew() -> None:
    pace = made(**SIGNAL)
    assert not any(pace.observe(step, 100, 1.0) for step in (46, 47, 48))
    assert not any(pace.observe(step, 100, 9.0) for step in (51, 52, 53))
    assert pace.observe(54, 100, 9.0)


def test_both_middle_stages_may_end_early_and_ramps_never_do() -> None:
    pace = made(**SIGNAL)
    ended = [step for step in range(1, 100) if pace.observe(step, 100, 1.0)]
    assert ended == [14, 18]
    assert pace.ends(100) == [10, 14, 18, 100]
    assert pace.at(18, 100).rate == 0.2  # the fall is stretched over the longer stage
    assert pace.at(99, 100).rate == pytest.approx(0.2 / 82)


@settings(deadline=None, derandomize=True)
@given(weights=WEIGHTS, steps=st.integers(4, 60), losses=st.lists(st.sampled_from([1.0, 2.0, 3.0]), max_size=60))
def test_with_signals_too_every_step_belongs_to_one_stage(
    weights: tuple[int, ...], steps: int, losses: list[float]
) -> None:
    pace = shared(weights, boundaries="signal", evaluations=1)
    stages = []
    for step, loss in zip(range(steps), losses + [1.0] * steps, strict=False):
        stages.append(pace.at(step, steps).stage)
        if step + 1 < steps:
            pace.observe(step + 1, steps, loss)
    assert [pace.at(step, steps).stage for step in range(steps)] == stages  # the past stays what it was
    assert list(dict.fromkeys(stages)) == list(STAGES)
    assert sorted(stages, key=STAGES.index) == stages


@settings(deadline=None, derandomize=True)
@given(losses=st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=60, max_size=60), cut=st.integers(1, 59))
def test_a_resume_goes_on_alike(losses: list[float], cut: int) -> None:
    first = made(**SIGNAL)
    for step in range(1, cut):
        first.observe(step, 60, losses[step])
    second = made(**SIGNAL)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for step in range(cut, 60):
        assert first.at(step, 60) == second.at(step, 60)
        assert first.observe(step, 60, losses[step]) == second.observe(step, 60, losses[step])
    assert first.state_dict() == second.state_dict()
