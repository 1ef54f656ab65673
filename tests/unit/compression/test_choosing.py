"""What is kept of the input's answers, with its noise; who is on the front, and who is chosen."""

from __future__ import annotations

import math
import random

import pytest

from agentforge.data.items import Item
from agentforge.kit.errors import FailedPrecondition
from agentforge.phase8_compression.choosing import Judged, choose, front
from agentforge.phase8_compression.configs.search import TargetConfig
from agentforge.phase8_compression.worth import FLAWED, Worth, families, kept

WHOLE = 1_000_000


def items(*families: str) -> list[Item]:
    return [Item(name, f"{number}?", str(number), 1) for number, name in enumerate(families)]


def judged(number: int, size: int, before: list[bool], after: list[bool], names: list[str]) -> Judged:
    return Judged.of(number, items(*names), Worth(WHOLE, 0.0, tuple(before)), Worth(size, 0.0, tuple(after)))


def even(share: float, count: int = 400) -> list[bool]:
    return [place < share * count for place in range(count)]


def test_kept_is_of_the_right_answers_and_its_error_is_of_pairs() -> None:
    names = ["a"] * 4 + ["b"] * 4
    before = [True, True, True, False, True, True, False, False]
    after = [True, True, False, False, True, True, False, False]
    mean, each = kept(items(*names), before, after)
    assert each["a"].share == pytest.approx(2 / 3)
    assert each["b"].share == 1
    assert each["b"].error == 0  # the same items were answered: no noise between them
    assert mean.share == pytest.approx(4 / 5)  # 5 answers of the input, 4 of the other; families are of one size
    # Of four differences 0, 0, 1, 0: standard deviation 1/2, so 1/4 of the mean; over an accuracy of 3/4.
    assert each["a"].error == pytest.approx(0.25 / 0.75)
    assert mean.error == pytest.approx(0.25 / 2 / 0.625)
    assert families(items(*names), after) == {"a": 0.5, "b": 0.5}


def test_a_family_that_was_never_answered_loses_nothing() -> None:
    mean, each = kept(items("a", "b"), [False, True], [False, True])
    assert each["a"].share == 1
    assert mean.share == 1


def test_numbers_go_there_and_back() -> None:
    worth = Worth(17, 0.25, (True, False, True))
    assert Worth.of(worth.numbers) == worth
    assert Worth.none(items("a")).flawed


def test_the_front_is_of_those_that_nobody_beats() -> None:
    right, wrong = (True, True), (True, False)
    worths = {
        0: Worth(100, 0.1, right), 1: Worth(50, 0.2, wrong), 2: Worth(60, 0.3, wrong), 3: Worth(100, 0.2, right),
        4: Worth(1, FLAWED, (False, False)),
    }  # fmt: skip
    assert front(worths) == [0, 1]


def test_the_smallest_that_surely_keeps_enough_is_chosen() -> None:
    before, names = even(1.0), ["a"] * 400
    whole = judged(0, 900, before, even(1.0), names)
    good = judged(1, 500, before, even(0.97), names)
    lucky = judged(2, 300, before, even(0.955), names)  # within its noise of .95
    asked = TargetConfig(min_retention=0.95)
    assert lucky.mean.share > 0.95
    assert choose([whole, good, lucky], asked, WHOLE) is good
    assert choose([whole, good, lucky], asked.model_copy(update={"margin": 0.0}), WHOLE) is lucky


def test_one_family_that_is_lost_is_too_much() -> None:
    names = ["a"] * 400 + ["b"] * 400
    before = [True] * 800
    poor = judged(1, 100, before, [*even(1.0), *even(0.8)], names)
    fair = judged(2, 200, before, [*even(0.97), *even(0.97)], names)
    assert poor.mean.share == pytest.approx(0.9)
    assert choose([poor, fair], TargetConfig(min_retention=0.89), WHOLE) is fair


def test_below_the_bytes_the_best_answers_are_chosen() -> None:
    before, names = even(1.0), ["a"] * 400
    every = [
        judged(n, size, before, even(share), names)
        for n, (size, share) in enumerate([(90, 0.9), (50, 0.8), (20, 0.5)])
    ]
    assert choose(every, TargetConfig(max_bytes=60, min_retention=None), WHOLE) is every[1]


def test_what_cannot_be_reached_says_what_can() -> None:
    before, names = even(1.0), ["a"] * 400
    every = [judged(0, 90, before, even(0.9), names), judged(1, 50, before, even(0.8), names)]
    with pytest.raises(FailedPrecondition, match="nearest, number 1, has 50") as small:
        choose(every, TargetConfig(max_bytes=40, min_retention=None), WHOLE)
    assert small.value.field == "target.max_bytes"
    with pytest.raises(FailedPrecondition, match=r"keeps 90\.0%") as good:
        choose(every, TargetConfig(min_retention=0.95), WHOLE)
    assert good.value.field == "target.min_retention"
    with pytest.raises(FailedPrecondition, match="diverged"):
        choose([], TargetConfig(), WHOLE)


def test_the_error_is_what_repeated_draws_scatter_by() -> None:
    dice = random.Random(5)
    shares, errors = [], []
    for _ in range(300):
        before = [dice.random() < 0.8 for _ in range(200)]
        after = [one and dice.random() < 0.9 for one in before]
        mean, _ = kept(items(*["a"] * 200), before, after)
        shares.append(mean.share)
        errors.append(mean.error)
    middle = sum(shares) / len(shares)
    scatter = math.sqrt(sum((share - middle) ** 2 for share in shares) / (len(shares) - 1))
    assert scatter == pytest.approx(sum(errors) / len(errors), rel=0.25)
