"""Planning and monitor in a closed loop with ideal tracks: safe, calm, and never standing for nothing."""

import numpy as np
import pytest

from agentforge.phase7_adas.drive.messages import Mode
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.safety.monitor import Monitor
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.scenarios.script import PERSON, Act, Actor, Manner, ToSide, ToSpeed, Walk, at, gap
from agentforge.phase7_adas.drive.truth import ACCEL, SPEED, Kind, Y
from tests.unit.adas_drive.planning.bench import Run, drive
from tests.unit.adas_drive.planning.roads import AVENUE, MIDDLE, RIGHT, STREET, case

pytestmark = pytest.mark.requirement("SR3")

BENT = Road(((100.0, 0.0), (120.0, 1 / 60), (60.0, 0.0), (120.0, -1 / 60), (900.0, 0.0)), lanes=2, oncoming=1)


def unhurt(run: Run) -> None:
    assert run.caused == 0, run.why
    assert run.suffered == 0, run.why
    assert run.off_road_us == 0


def calm(run: Run) -> None:
    """Comfort: nothing that makes passengers hold on, and no word of the monitor."""
    assert run.ego(ACCEL).min() > -3.0
    assert run.ego(ACCEL).max() < 2.3
    assert np.abs(run.jerk()).max() < 4.0
    assert np.abs(run.side()).max() < 2.8
    assert run.codes() == {}


def test_an_empty_road_at_the_limit_without_a_word() -> None:
    run = drive(case(STREET, seconds=8.0), monitor=Monitor())
    unhurt(run)
    calm(run)
    assert run.ego(SPEED)[-1] == pytest.approx(STREET.speed_limit_mps, abs=0.3)


def test_bends_are_driven_slowly_enough_and_in_the_lane() -> None:
    run = drive(case(BENT, seconds=10.0), monitor=Monitor())
    unhurt(run)
    calm(run)
    d = BENT.to_road(np.array([truth.ego_6[:2] for truth in run.truths]))[1]
    assert np.abs(d - RIGHT).max() < 0.5


def test_a_lead_that_brakes_with_all_it_has() -> None:
    lead = Actor(28.0, RIGHT, 12.0, acts=(Act(at(1.0), ToSpeed(0.0, 8.0)),))
    run = drive(case(STREET, lead, seconds=7.0), monitor=Monitor())
    unhurt(run)
    assert run.ego(SPEED)[-1] < 0.3
    assert run.ego(ACCEL).min() > -7.0


@pytest.mark.slow
def test_an_empty_road_for_minutes() -> None:
    """With a noisy ego state: no fault, no stop, no jerk that is felt."""
    noise = (0.05, 0.05, 0.003, 0.05, 0.1, 0.005)
    run = drive(case(Road(((6000.0, 0.0),), lanes=2, oncoming=1), seconds=180.0), monitor=Monitor(), noise=noise)
    unhurt(run)
    assert run.worst() == Mode.NORMAL
    assert run.codes() == {}
    assert run.ego(SPEED)[200:].min() > 13.0
    assert np.abs(run.ego(ACCEL)[200:]).max() < 0.8


@pytest.mark.slow
def test_cut_in() -> None:
    other = Actor(35.0, MIDDLE, 10.0, acts=(Act(gap(14.0), ToSide(RIGHT, 2.5)),))
    run = drive(case(AVENUE, other, seconds=15.0, speed_mps=13.5), monitor=Monitor())
    unhurt(run)
    assert run.worst() == Mode.NORMAL


@pytest.mark.slow
def test_a_stopped_car_on_a_one_lane_street_is_stopped_behind() -> None:
    run = drive(case(STREET, Actor(110.0, RIGHT, manner=Manner.STANDS), seconds=16.0), monitor=Monitor())
    unhurt(run)
    calm(run)
    assert run.ego(SPEED)[-1] < 0.1
    assert 2.0 < 110.0 + 60.0 - run.ego(0)[-1] - 2.25 - 2.3 < 8.0


@pytest.mark.slow
def test_a_blocked_lane_with_a_free_neighbour_is_left_and_taken_again() -> None:
    run = drive(case(AVENUE, Actor(90.0, RIGHT, manner=Manner.STANDS), seconds=22.0), monitor=Monitor())
    unhurt(run)
    assert run.ego(Y).max() > MIDDLE - 0.5
    assert run.ego(Y)[-1] == pytest.approx(RIGHT, abs=0.6)
    assert run.ego(SPEED).min() > 5.0
    assert run.worst() == Mode.NORMAL


@pytest.mark.slow
def test_a_pedestrian_crosses() -> None:
    walker = Actor(
        60.0, -2.6, kind=Kind.PEDESTRIAN, size=PERSON, manner=Manner.WALKS,
        acts=(Act(at(0.8), Walk(8.0, 1.5, heeds=False)),),
    )  # fmt: skip
    run = drive(case(STREET, walker, seconds=14.0), monitor=Monitor())
    unhurt(run)
    assert run.ego(SPEED)[-1] > 10.0
    assert run.ego(ACCEL).min() > -6.0


@pytest.mark.slow
def test_who_comes_in_its_own_lane_is_no_reason_to_slow() -> None:
    others = tuple(Actor(80.0 + 40.0 * n, MIDDLE, 13.0, against=True, manner=Manner.CRUISES) for n in range(6))
    for road in (STREET, BENT):
        run = drive(case(road, *others, seconds=12.0), monitor=Monitor())
        unhurt(run)
        assert run.worst() == Mode.NORMAL
        assert run.ego(SPEED).min() > 8.0


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(name for name, one in SCENARIOS.items() if not one.faults))
def test_every_scenario_with_ideal_tracks(name: str) -> None:
    """Sensors' faults are none of an ideal track; what is left must not be hit, and nothing ends in a safe stop."""
    run = drive(SCENARIOS[name], monitor=Monitor())
    assert run.caused == 0, run.why
    assert run.worst() in (Mode.NORMAL, Mode.DEGRADED, Mode.EMERGENCY)
