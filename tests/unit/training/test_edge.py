from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentforge.kit.config import validate_config
from agentforge.kit.errors import FailedPrecondition, InvalidInput
from agentforge.phase5_training.configs.edge import EdgeConfig
from agentforge.phase5_training.edge import Difficulties, EasyToHard, Edge, Uniform, between, difficulties, wilson

FAMILIES = {"recall": range(1, 65), "arithmetic": range(1, 4), "nested": [5, 1, 3]}
STEPS = 1_000


def made(kind: str = "edge", **values: Any) -> Difficulties:
    return difficulties(validate_config(EdgeConfig, {"kind": kind, **values}), FAMILIES, STEPS)


def test_wilsons_interval() -> None:
    low, high = wilson(8, 10, 1.96)
    assert low == pytest.approx(0.4902, abs=1e-4)
    assert high == pytest.approx(0.9433, abs=1e-4)
    assert wilson(0, 20, 1.96)[0] == pytest.approx(0)
    assert wilson(20, 20, 1.96)[1] == pytest.approx(1)


def test_a_difficulty_between_two_is_a_mix_of_both() -> None:
    assert between([1, 2, 3], 2.25) == {2: 0.75, 3: 0.25}
    assert between([1, 3, 5], 3.5) == {3: 0.75, 5: 0.25}
    assert between([1, 2, 3], 3.0) == {3: 1.0}
    assert between([7], 7.0) == {7: 1.0}


@settings(deadline=None, derandomize=True)
@given(difficulty=st.floats(1, 64))
def test_a_mix_has_the_difficulty_that_it_was_made_of(difficulty: float) -> None:
    mix = between(range(1, 65), difficulty)
    assert math.fsum(mix.values()) == pytest.approx(1)
    assert min(mix.values()) > 0
    assert math.fsum(level * weight for level, weight in mix.items()) == pytest.approx(difficulty)


def test_kinds() -> None:
    assert isinstance(made(), Edge)
    assert isinstance(made("easy_to_hard"), EasyToHard)
    assert isinstance(made("uniform"), Uniform)


def test_uniform_never_moves() -> None:
    uniform = made("uniform")
    for step in range(0, STEPS, 100):
        uniform.observe("nested", {1: (128, 128)}, step=step)
        assert uniform.mix("nested") == {1: 1 / 3, 3: 1 / 3, 5: 1 / 3}
        assert uniform.difficulty("nested") == 3


def test_easy_to_hard_follows_the_step_alone() -> None:
    rising = made("easy_to_hard")
    assert rising.mix("nested") == {1: 1.0}
    rising.observe("nested", {1: (0, 128)}, step=250)
    assert rising.difficulty("nested") == 2
    assert rising.difficulty("arithmetic") == 1  # it was not measured yet
    rising.observe("nested", {1: (0, 128)}, step=STEPS)
    assert rising.mix("nested") == {5: 1.0}


def test_too_easy_becomes_harder_and_too_hard_easier() -> None:
    edge = made()
    edge.observe("recall", {1: (128, 128)}, step=0)
    risen = edge.difficulty("recall")
    assert risen == pytest.approx(1 + 0.35)  # a gain of 1
    edge.observe("recall", {1: (40, 128)}, step=0)
    assert edge.difficulty("recall") < risen
    assert edge.difficulty("arithmetic") == 1  # families have nothing to do with each other


def test_what_may_be_noise_moves_nothing_and_enough_of_it_does() -> None:
    edge = made(z=1.64, hysteresis=0.04)
    edge.observe("recall", {1: (128, 128)}, step=0)
    edge.observe("recall", {1: (83, 128)}, step=0)  # 65 %: near enough, steering ends
    stands = edge.difficulty("recall")
    edge.observe("recall", {1: (90, 128)}, step=0)  # 70 %: away by more than the hysteresis, but not surely off
    assert edge.difficulty("recall") == stands
    for _ in range(3):
        edge.observe("recall", {1: (90, 128)}, step=0)
    assert edge.difficulty("recall") > stands  # four times 70 % is no noise


def test_once_begun_steering_goes_on_until_it_is_near() -> None:
    edge = made()
    edge.observe("recall", {1: (128, 128)}, step=0)
    before = edge.difficulty("recall")
    edge.observe("recall", {1: (90, 128)}, step=0)  # what moved nothing above
    assert edge.difficulty("recall") > before


def test_a_fine_measurement_sees_what_a_coarse_one_cannot() -> None:
    moved = {}
    for items in (32, 1024):
        edge = made()
        edge.observe("recall", {1: (128, 128)}, step=0)
        edge.observe("recall", {1: (83, 128)}, step=0)
        before = edge.difficulty("recall")
        edge.observe("recall", {1: (round(0.72 * items), items)}, step=0)
        moved[items] = edge.difficulty("recall") != before
    assert moved == {32: False, 1024: True}


def test_moves_are_as_long_as_success_falls_slowly() -> None:
    moves = []
    for harder in (4, 44):  # of 64 right, where 54 of the easier are
        edge = made()
        edge.observe("recall", {1: (128, 128)}, step=0)
        before = edge.difficulty("recall")
        edge.observe("recall", {1: (54, 64), 2: (harder, 64)}, step=0)
        edge.observe("recall", {1: (64, 64), 2: (64, 64)}, step=0)
        moves.append(edge.difficulty("recall") - before)
    assert moves[1] > 2 * abs(moves[0])


@settings(deadline=None, derandomize=True)
@given(rights=st.lists(st.integers(0, 128), min_size=1, max_size=60), first=st.sampled_from([0, 25]))
def test_steps_are_bounded_and_stay_in_the_range(rights: list[int], first: int) -> None:
    edge = made(largest=0.25)
    for number, right in enumerate(rights):
        before = edge.difficulty("recall")
        edge.observe("recall", {1: (right, 128)}, step=first + number)
        assert 1 <= edge.difficulty("recall") <= 64
        assert abs(edge.difficulty("recall") - before) <= (0.25 + 0.05) * 63 + 1e-9
        assert set(edge.mix("recall")) <= set(FAMILIES["recall"])


def test_at_an_end_of_the_range_nothing_winds_up() -> None:
    edge = made()
    for step in range(200):
        edge.observe("recall", {1: (128, 128)}, step=step)
    assert edge.mix("recall") == {64: 1.0}
    edge.observe("recall", {1: (40, 128)}, step=200)
    assert edge.difficulty("recall") < 64  # at once, however long it was held there


def test_the_curve_and_the_time_in_band() -> None:
    edge = made()
    for step, right in ((0, 128), (25, 96), (50, 70), (75, 83)):  # 100 %, 75 %, 55 % less a little, 65 %
        edge.observe("recall", {1: (right, 128)}, step=step)
    edge.observe("nested", {1: (10, 128)}, step=75)
    assert edge.curve[0] == {"step": 0, "family": "recall", "success": 1.0, "items": 128, "difficulty": 1.0}
    assert [point["family"] for point in edge.curve] == ["recall"] * 4 + ["nested"]
    assert edge.time_in_band("recall") == 0.5
    assert edge.time_in_band("recall", since=25) == pytest.approx(2 / 3)
    assert edge.time_in_band() == pytest.approx(2 / 5)
    assert json.loads(json.dumps(edge.curve)) == edge.curve


@pytest.mark.parametrize("kind", ["edge", "uniform", "easy_to_hard"])
@settings(deadline=None, derandomize=True)
@given(rights=st.lists(st.integers(0, 64), min_size=2, max_size=40), cut=st.integers(1, 39))
def test_a_resume_goes_on_alike(kind: str, rights: list[int], cut: int) -> None:
    def feed(controller: Difficulties, part: Sequence[tuple[int, int]]) -> None:
        for number, right in part:
            controller.observe("recall", {1: (right, 64)}, step=number * 10)

    numbered = list(enumerate(rights))
    first = made(kind)
    feed(first, numbered[:cut])
    second = made(kind)
    saved = json.dumps(first.state_dict())
    second.load_state_dict(json.loads(saved))
    for each in (first, second):
        feed(each, numbered[cut:])
    assert first.state_dict() == second.state_dict()
    assert first.mix("recall") == second.mix("recall")
    third = made(kind)
    third.load_state_dict(json.loads(saved))  # what was loaded shares nothing with what was saved
    assert json.dumps(third.state_dict()) == saved


def test_the_state_of_other_difficulties_is_refused() -> None:
    other = Edge(EdgeConfig(), {"recall": range(1, 9)})
    with pytest.raises(FailedPrecondition) as caught:
        made().load_state_dict(json.loads(json.dumps(other.state_dict())))
    assert caught.value.reason == "DATA_CHANGED"


@pytest.mark.parametrize(
    "wrong", [{"low": 0.8}, {"low": 0.6, "high": 0.64}, {"hysteresis": 0.1}, {"kind": "chaos"}, {"every": 0}]
)
def test_bands_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        validate_config(EdgeConfig, wrong)
