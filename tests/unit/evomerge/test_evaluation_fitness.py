"""Fitness: every term relative to the parents, and no child that can stop an evolution."""

import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from agentforge.kit.config import validate_config
from agentforge.kit.errors import InvalidInput
from agentforge.phase2_evomerge.evaluation.fitness import FitnessWeights, Terms, composite, reference, relative

BASE = Terms(4.0, 0.5, 1e6, 1_000)
WEIGHTS = FitnessWeights()


@pytest.mark.parametrize(
    ("values", "field", "reason"),
    [
        ({"perplexity": 0.5}, "perplexity", "WEIGHTS_SUM"),
        ({"speed": 0.2 + 1e-5}, "perplexity", "WEIGHTS_SUM"),
        ({"speed": -0.2, "memory": 0.5}, "speed", "INVALID_VALUE"),
    ],
)
def test_weights_that_are_no_shares_are_refused_by_field(values: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_config(FitnessWeights, values)
    assert (caught.value.field, caught.value.reason) == (field, reason)


def test_weights_may_be_off_by_rounding() -> None:
    third = 0.333_333_3
    FitnessWeights(perplexity=third, accuracy=third, speed=third, memory=0.0)


def test_the_reference_is_the_mean_and_scores_one() -> None:
    base = reference([Terms(2.0, 0.2, 100.0, 10), Terms(8.0, 0.6, 300.0, 30)])
    assert base == Terms(pytest.approx(4.0), pytest.approx(0.4), 200.0, 20)
    assert composite(base, base, WEIGHTS) == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize(
    ("better", "expected"),
    [({"perplexity": 2.0}, 1.4), ({"accuracy": 1.0}, 1.3), ({"flops_per_token": 5e5}, 1.2), ({"bytes": 500}, 1.1)],
)
def test_twice_as_good_in_one_term_gains_its_weight(better: dict[str, Any], expected: float) -> None:
    assert composite(replace(BASE, **better), BASE, WEIGHTS) == pytest.approx(expected, abs=1e-12)


def test_units_do_not_matter() -> None:
    child = Terms(3.0, 0.6, 1.1e6, 900)
    scaled = [
        Terms(one.perplexity, one.accuracy, one.flops_per_token / 1e9, one.bytes * 8) for one in (child, BASE)
    ]
    assert composite(*scaled, WEIGHTS) == pytest.approx(composite(child, BASE, WEIGHTS), abs=1e-12)


def test_accuracy_of_which_no_parent_has_any() -> None:
    base = reference([replace(BASE, accuracy=0.0)] * 3)
    none, some, more = (relative(replace(BASE, accuracy=each), base).accuracy for each in (0.0, 0.1, 0.2))
    assert (none, some, more) == (1.0, 1.1, 1.2)


@pytest.mark.parametrize("perplexity", [math.nan, math.inf])
def test_a_broken_child_is_the_worst_and_says_why(perplexity: float) -> None:
    broken = replace(BASE, perplexity=perplexity)
    assert composite(broken, BASE, WEIGHTS) == -math.inf
    assert ("not a number" in broken.flaw) == math.isnan(perplexity)
    assert broken.flaw
    assert not BASE.flaw


def test_a_broken_parent_is_no_reference() -> None:
    with pytest.raises(InvalidInput, match="parent 2 of 3") as caught:
        reference([BASE, replace(BASE, perplexity=math.nan), BASE])
    assert (caught.value.field, caught.value.reason) == ("parents[1]", "NOT_FINITE")
    with pytest.raises(InvalidInput, match="there are none"):
        reference([])


def test_fitness_is_read_without_torch() -> None:
    code = "import sys, agentforge.phase2_evomerge.evaluation.fitness; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
