import math

import numpy as np
import pytest

from agentforge.phase7_adas.drive.perception.combine import Evidence, Feature
from agentforge.phase7_adas.drive.perception.confidence import Confidence, fit
from agentforge.phase7_adas.drive.perception.measure import expected_error, measure

pytestmark = pytest.mark.requirement("SR1")


def evidence(many: int, seed: int) -> tuple[Evidence, np.ndarray, np.ndarray]:
    """Candidates of camera alone and of camera with lidar; the camera's heat says how likely each is there."""
    rng = np.random.default_rng(seed)
    features = np.zeros((many, len(Feature)))
    features[:, Feature.ONE] = 1.0
    features[:, Feature.HEAT] = rng.normal(0.0, 2.0, many)
    sources = np.where(rng.random(many) < 0.5, 1, 5)
    chance = 1.0 / (1.0 + np.exp(-1.5 * features[:, Feature.HEAT] - np.where(sources == 5, 2.0, -1.0)))
    there = rng.random(many) < chance
    off = np.where(there[:, None], rng.normal(0.0, 2.0, (many, 2)), np.nan)
    one, plane = np.ones(many), np.zeros((many, 2))
    kinds = np.zeros(many, dtype=np.int64)
    heard = np.full(many, 5)
    naive = np.clip(1.0 / (1.0 + np.exp(-features[:, Feature.HEAT])), 1e-6, 1 - 1e-6)
    return (
        Evidence(plane, one, one, np.ones((many, 3)), kinds, one, one, sources, features, heard, one, plane, naive),
        there,
        off,
    )


def test_calibration_error_falls_on_other_candidates() -> None:
    model = fit(*evidence(8000, 1))
    other, there, _ = evidence(8000, 2)
    before, after = expected_error(other.naive_N, there), expected_error(model.of(other), there)
    assert before > 0.05
    assert after < 0.025


def test_spreads_are_made_as_wide_as_the_errors() -> None:
    assert fit(*evidence(8000, 1)).spread_82[5] == pytest.approx([2.0, 2.0], rel=0.1)


def test_confidence_rises_with_the_model_and_stays_within_bounds() -> None:
    for x, y in fit(*evidence(3000, 3)).curves:
        assert (np.diff(x) > 0).all()
        assert (np.diff(y) >= 0).all()
        assert y.min() >= 0.0
        assert y.max() <= 1.0


def test_what_never_came_in_calibration_is_not_believed() -> None:
    given, there, off = evidence(4000, 1)
    model = fit(given, there, off)
    radar = Evidence(**{**vars(given), "sources_N": np.full(4000, 2), "heard_N": np.full(4000, 2)})
    assert (model.of(radar) < 0.2).all()


def test_blank_says_half() -> None:
    assert Confidence.blank().of(evidence(10, 1)[0]) == pytest.approx(np.full(10, 0.5))


def test_expected_error() -> None:
    assert expected_error(np.full(100, 0.8), np.arange(100) < 80) == pytest.approx(0.0)
    assert expected_error(np.full(100, 0.8), np.arange(100) < 50) == pytest.approx(0.3)


def test_measure_says_what_it_counted() -> None:
    made = measure(12, seed=99)
    assert made["scenes"] == 12
    row = made["all"]["combined"]["by_class"]["vehicle"]["0-150"]
    assert row["recall"]["n"] == row["false_negatives"]["n"] > 10
    assert row["recall"]["events"] + row["false_negatives"]["events"] == row["recall"]["n"]
    assert row["recall"]["low"] <= row["recall"]["rate"] <= row["recall"]["high"]
    binned = [
        made["all"]["combined"]["by_class"]["vehicle"][each]["recall"]
        for each in ("0-25", "25-50", "50-100", "100-150")
    ]
    assert sum(each["n"] for each in binned if each) == row["recall"]["n"]
    assert made["seeds"]["cases_needed_without_a_miss"] == math.ceil(math.log(0.05) / math.log1p(-1e-4))
    assert made["step_ms"]["n"] == 7
    assert made["calibration_error"]["candidates"] > 50
    with pytest.raises(ValueError, match="nothing"):
        measure(0, seed=1)


@pytest.mark.slow
def test_what_the_committed_detector_reaches() -> None:
    made = measure(300, seed=5)
    clear = made["clear"]["combined"]["by_class"]
    assert clear["vehicle"]["0-25"]["recall"]["low"] > 0.9
    assert clear["pedestrian"]["0-25"]["recall"]["low"] > 0.8
    assert made["calibration_error"]["after"] < min(0.05, made["calibration_error"]["before"])
    both = [
        made["all"][name]["by_class"]["vehicle"]["0-150"]["recall"]["rate"]
        for name in ("combined", "camera", "lidar")
    ]
    assert both[0] > max(both[1:])
