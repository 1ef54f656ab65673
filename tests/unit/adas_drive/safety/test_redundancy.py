import dataclasses

import numpy as np
import pytest

from agentforge.phase7_adas.drive.agent import Watched
from agentforge.phase7_adas.drive.messages import Mode, Source
from agentforge.phase7_adas.drive.safety.redundancy import CALM_MPS2
from tests.unit.adas_drive.planning.roads import RIGHT
from tests.unit.adas_drive.safety.given import SPEED_MPS, codes, watch
from tests.unit.adas_drive.safety.test_codes import unseen_by

pytestmark = pytest.mark.requirement("SR5")

STANDS = ((60.0 + 28.0, RIGHT, 0.0, 0.0),)


def test_one_source_slows_gently_two_are_braked_for_as_needed() -> None:
    """Something stands 28 m ahead and the planner ignores it."""

    def least(flags: Source) -> float:
        verdicts = watch(unseen_by(int(flags)), 25, first=0, rows=STANDS)
        return min(verdict.command.accel_mps2 for verdict in verdicts)

    def spoil_v2x() -> float:
        return least(Source.V2X)

    assert least(Source.LIDAR | Source.RADAR) < -5.0
    assert -CALM_MPS2 - 0.01 <= spoil_v2x() < -1.0


def test_one_source_beside_the_way_is_nobody_s_business() -> None:
    beside = ((75.0, RIGHT + 3.5, SPEED_MPS, 0.0), (80.0, -2.5, 0.0, 0.0))
    assert codes(watch(unseen_by(int(Source.RADAR)), 30, first=0, rows=beside)) == set()


def test_a_sensor_without_anything_to_compare_is_not_blind() -> None:
    """One car that only radar and camera could see is no evidence if it is far beside, or if all are alone."""

    def alone(given: Watched, since: int) -> Watched:
        return unseen_by(int(Source.RADAR))(given, since)

    ahead = ((90.0, RIGHT + 3.5, SPEED_MPS, 0.0),)
    assert "SENSOR_BLIND" not in codes(watch(alone, 60, first=0, rows=ahead))
    assert "SENSOR_BLIND" in codes(watch(unseen_by(6), 60, first=0, rows=ahead))


def test_blind_degrades_and_recovers() -> None:
    ahead = ((90.0, RIGHT + 3.5, SPEED_MPS, 0.0),)
    verdicts = watch(unseen_by(6), 110, first=5, rows=ahead, until=60)
    assert verdicts[58].mode == Mode.DEGRADED
    assert verdicts[-1].mode == Mode.NORMAL
    assert dataclasses.replace(verdicts[-1], faults=()).command.accel_mps2 == 0.0


@pytest.mark.parametrize(
    ("flags", "age_us", "ahead_m", "named"),
    [
        (Source.RADAR, 2_500_000, 20.0, True),
        (Source.RADAR, 1_500_000, 20.0, False),  # it may be a moment's doubt
        (Source.RADAR | Source.CAMERA, 2_500_000, 20.0, False),
        (Source.RADAR, 2_500_000, 60.0, False),  # further away the others may well miss it
        (Source.NONE, 2_500_000, 20.0, False),  # hidden, not alone
    ],
)
def test_what_one_sensor_alone_sees_for_long_is_named_though_it_keeps_its_distance(
    flags: Source, age_us: int, ahead_m: float, named: bool
) -> None:
    def alone(given: Watched, since: int) -> Watched:
        given = unseen_by(int(flags))(given, since)
        assert given.tracks is not None
        age = np.full(len(given.tracks.id_N), age_us)
        return dataclasses.replace(given, tracks=dataclasses.replace(given.tracks, age_us_N=age))

    verdicts = watch(alone, 6, first=0, rows=((60.0 + ahead_m, RIGHT, SPEED_MPS, 0.0),))
    assert ("OBJECT_ONE_SOURCE" in codes(verdicts)) == named
    assert min(verdict.command.accel_mps2 for verdict in verdicts) > -0.5
