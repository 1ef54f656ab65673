import dataclasses

import numpy as np
import pytest

from agentforge.phase7_adas.drive.messages import PLAN_Y, Tracks
from agentforge.phase7_adas.drive.planning.agent import Planning
from agentforge.phase7_adas.drive.planning.line import line_of
from agentforge.phase7_adas.drive.planning.unseen import LONGEST_US, Unseen
from agentforge.phase7_adas.drive.truth import Kind
from tests.unit.adas_drive.planning.roads import AVENUE, MIDDLE, RIGHT, ego, scene, tracks

pytestmark = pytest.mark.requirement("SR3")

EGO_S, SPEED, SECOND_US = 60.0, 12.0, 1_000_000
LINE = line_of(AVENUE)


def barred(seconds: float, *rows: tuple[float, float, float, float], kind: Kind = Kind.VEHICLE) -> set[int]:
    """Seen once, then nothing; the ego goes on at its speed."""
    unseen, t_us, s = Unseen(), 0, EGO_S
    unseen.step(0, tracks(0, *rows, kind=kind), LINE, s)
    while t_us < seconds * SECOND_US:
        t_us, s = t_us + 50_000, s + SPEED * 0.05
        unseen.step(t_us, tracks(t_us), LINE, s)
    return unseen.barred(t_us, s, SPEED, AVENUE.lane_width_m)


def parked_ahead_of(there: Tracks, forget: bool) -> float:
    """Where the plan ends, a second after `there` was seen: something stands ahead in the ego's own lane."""
    planning = Planning()
    planning.step(scene(there, road=AVENUE))
    later = tracks(SECOND_US, (112.0, RIGHT, 0.0, 0.0))
    given = dataclasses.replace(scene(later, road=AVENUE), ego=ego(SECOND_US, EGO_S + SPEED, RIGHT, SPEED))
    planning = Planning() if forget else planning
    return float(planning.step(given).states_T5[-1, PLAN_Y])


def test_no_change_into_the_lane_of_a_car_that_left_the_view_beside() -> None:
    there = tracks(0, (EGO_S - 1.0, MIDDLE, SPEED, 0.0))
    assert parked_ahead_of(there, forget=True) > MIDDLE - 1.0
    assert parked_ahead_of(there, forget=False) < RIGHT + 0.6


@pytest.mark.parametrize(
    ("seconds", "row", "lanes"),
    [
        (1.0, (EGO_S, MIDDLE, 12.0, 0.0), {1}),
        (10.0, (EGO_S, MIDDLE, 12.0, 0.0), {1}),  # as fast as the ego: it may still be there
        (LONGEST_US / SECOND_US + 0.1, (EGO_S, MIDDLE, 12.0, 0.0), set()),
        (1.0, (EGO_S - 5.0, MIDDLE, 4.0, 0.0), set()),  # left behind
        (1.0, (EGO_S - 15.0, MIDDLE, 17.0, 0.0), {1}),  # comes from behind, and will be level
        (4.0, (EGO_S + 2.0, MIDDLE, 17.0, 0.0), set()),  # far ahead: it would be seen
        (1.0, (EGO_S + 40.0, MIDDLE, 12.0, 0.0), set()),
        (1.0, (EGO_S, (RIGHT + MIDDLE) / 2, 12.0, 0.0), {0, 1}),
    ],
)
def test_lanes_are_barred_as_long_as_somebody_may_be_level(
    seconds: float, row: tuple[float, float, float, float], lanes: set[int]
) -> None:
    assert barred(seconds, row) == lanes


def test_only_vehicles_are_remembered() -> None:
    assert barred(1.0, (EGO_S, MIDDLE, 12.0, 0.0), kind=Kind.PEDESTRIAN) == set()


def test_the_same_car_under_another_name_is_not_two() -> None:
    unseen = Unseen()
    unseen.step(0, tracks(0, (EGO_S, MIDDLE, 14.0, 0.0)), LINE, EGO_S)
    there = tracks(SECOND_US, (EGO_S + 13.0, MIDDLE, 14.0, 0.0))
    there = dataclasses.replace(there, id_N=np.array([7]))
    unseen.step(SECOND_US, there, LINE, EGO_S + SPEED)
    assert unseen.barred(SECOND_US, EGO_S + SPEED, SPEED, AVENUE.lane_width_m) == set()


def test_a_track_that_is_told_of_though_nothing_sees_it_bars_too() -> None:
    there = tracks(0, (EGO_S, MIDDLE, 12.0, 0.0))
    there = dataclasses.replace(there, unseen_us_N=np.array([SECOND_US]))
    unseen = Unseen()
    unseen.step(0, there, LINE, EGO_S)
    assert unseen.barred(0, EGO_S, SPEED, AVENUE.lane_width_m) == {1}
