"""The ego's filter with places across the road, which a camera sees of the marks."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from agentforge.phase7_adas.drive.fusion.ego import LANE_DOUBTS, EgoFilter
from agentforge.phase7_adas.drive.messages import Ego, LaneFix
from agentforge.phase7_adas.drive.truth import Floats
from tests.unit.adas_drive.fusion.streams import drive

pytestmark = pytest.mark.requirement("SR2")

DRIVE = drive(1, 12.0)
NORTH = np.array([0.0, 1.0])
AHEAD_M, AGE_US = 10.0, 100_000


def fix_at(t_us: int, off_m: float) -> LaneFix:
    """Of a road that leads east: the truth's y, and so much more."""
    x, y, heading = DRIVE.truth[t_us // 10_000, :3]
    place = np.array([x, y]) + AHEAD_M * np.array([np.cos(heading), np.sin(heading)])
    return LaneFix(t_us, NORTH, AHEAD_M, float(NORTH @ place) + off_m, 0.25)


def followed(ego: EgoFilter, off_m: dict[int, float]) -> list[Ego]:
    """`off_m` by the tick's time in us; a tick that is not there has no fix."""
    egos = []
    for t_us in range(50_000, 11_000_000, 50_000):
        motion = DRIVE.motion(t_us, t_us - 50_000)
        lanes = (fix_at(t_us - AGE_US, off_m[t_us]),) if t_us in off_m else ()
        egos.append(ego.step(replace(motion, lanes=lanes)))
    return egos


def across(egos: list[Ego]) -> Floats:
    return np.array([each.state_6[1] - DRIVE.truth[each.t_us // 10_000, 1] for each in egos])


EVERY = dict.fromkeys(range(500_000, 11_000_000, 50_000), 0.0)


def test_marks_tell_what_gps_cannot() -> None:
    counts: Counter[str] = Counter()
    without, told = followed(EgoFilter(Counter()), {}), followed(EgoFilter(counts), EVERY)
    assert np.abs(across(without[60:])).mean() > 0.3  # this receiver is off, and nothing says so
    assert np.abs(across(told[20:])).max() < 0.15
    assert counts["lanes/gate"] == 0
    assert all(each.trusted for each in told[20:])
    assert told[-1].cov_66[1, 1] < 0.1 * without[-1].cov_66[1, 1]


def test_one_wrong_fix_is_refused() -> None:
    counts: Counter[str] = Counter()
    told = followed(EgoFilter(counts), EVERY | {6_000_000: 2.0, 8_000_000: -3.0})
    assert counts["lanes/gate"] == 2
    assert np.abs(across(told[20:])).max() < 0.15


def test_fixes_that_agree_with_each_other_and_not_with_the_ego_win() -> None:
    """Paint does not move: an ego that contradicts it for long is the one that is off."""
    counts: Counter[str] = Counter()
    moved = {t_us: off if t_us < 6_000_000 else 1.5 for t_us, off in EVERY.items()}
    told = followed(EgoFilter(counts), moved)
    assert counts["ego/across doubted"] >= 1
    assert counts["lanes/gate"] <= 3 * LANE_DOUBTS
    assert across(told[-20:]).mean() == pytest.approx(1.5, abs=0.3)
