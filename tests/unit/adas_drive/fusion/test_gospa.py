import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agentforge.phase7_adas.drive.fusion.gospa import gospa
from agentforge.phase7_adas.drive.truth import Floats

pytestmark = pytest.mark.requirement("SR2")

points = st.integers(0, 4).flatmap(
    lambda many: arrays(np.float64, (many, 2), elements=st.floats(-10, 10, allow_nan=False, width=32))
)


def by_hand(truth: Floats, told: Floats, c: float) -> float:
    """The least over all pairings of any size."""
    best = np.inf
    for size in range(min(len(truth), len(told)) + 1):
        for some in itertools.combinations(range(len(truth)), size):
            for other in itertools.permutations(range(len(told)), size):
                away = np.linalg.norm(truth[list(some)] - told[list(other)], axis=1)
                best = min(best, (np.minimum(away, c) ** 2).sum() + c**2 / 2 * (len(truth) + len(told) - 2 * size))
    return float(np.sqrt(best))


@settings(max_examples=60, deadline=None)
@given(points, points, st.floats(0.5, 8))
def test_is_the_least_over_all_pairings(truth: Floats, told: Floats, c: float) -> None:
    assert gospa(truth, told, c).total == pytest.approx(by_hand(truth, told, c), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(points, points, points)
def test_is_a_metric(one: Floats, two: Floats, three: Floats) -> None:
    assert gospa(one, one).total == 0.0
    assert gospa(one, two).total == pytest.approx(gospa(two, one).total)
    assert gospa(one, three).total <= gospa(one, two).total + gospa(two, three).total + 1e-9


@settings(max_examples=60, deadline=None)
@given(points, points)
def test_its_parts_add_up(truth: Floats, told: Floats) -> None:
    found = gospa(truth, told, 3.0)
    assert found.total**2 == pytest.approx(found.localisation + found.missed + found.false)
    assert found.missed == pytest.approx(4.5 * (len(truth) - found.pairs))
    assert found.false == pytest.approx(4.5 * (len(told) - found.pairs))


def test_numbers_that_can_be_checked_in_the_head() -> None:
    found = gospa(np.array([[0.0, 0.0], [50.0, 0.0]]), np.array([[1.0, 0.0], [9.0, 9.0], [30.0, 0.0]]), c=4.0)
    assert (found.localisation, found.missed, found.false, found.pairs) == (1.0, 8.0, 16.0, 1)
    assert found.total == 5.0


@pytest.mark.parametrize(("c", "p"), [(0.0, 2.0), (-1.0, 2.0), (4.0, 0.5)])
def test_what_is_no_metric(c: float, p: float) -> None:
    with pytest.raises(ValueError, match="GOSPA needs"):
        gospa(np.zeros((1, 2)), np.zeros((1, 2)), c, p)


def test_agrees_with_stone_soup() -> None:
    metric = pytest.importorskip("stonesoup.metricgenerator.ospametric", reason="the oracle is not installed")
    from stonesoup.types.state import State

    rng = np.random.default_rng(3)
    oracle = metric.GOSPAMetric(p=2, c=4.0)
    for many, told in [(3, 5), (4, 4), (6, 2)]:
        truth, tracks = rng.uniform(0, 12, (many, 2)), rng.uniform(0, 12, (told, 2))
        theirs, _ = oracle.compute_gospa_metric([State(each) for each in tracks], [State(each) for each in truth])
        assert gospa(truth, tracks, 4.0).total == pytest.approx(theirs.value["distance"], rel=1e-9)
