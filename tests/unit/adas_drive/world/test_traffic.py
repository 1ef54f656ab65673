"""Other road users: IDM keeps its gap, lanes are changed safely, nobody leaves the road or physics."""

from __future__ import annotations

import numpy as np
import pytest

from agentforge.phase7_adas.drive.messages import Command
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.scenarios.roads import AVENUE, BENDS, MIDDLE, RIGHT, STREET
from agentforge.phase7_adas.drive.scenarios.script import (
    Act,
    Actor,
    Heed,
    Manner,
    ToSide,
    ToSpeed,
    Walk,
    after,
    at,
    gap,
    person,
)
from agentforge.phase7_adas.drive.truth import ACCEL, HEADING, SPEED, YAW_RATE, Floats
from agentforge.phase7_adas.drive.world.boxes import touch
from agentforge.phase7_adas.drive.world.users import HARDEST_BRAKE_MPS2, MAX_LATERAL_MPS2
from agentforge.phase7_adas.drive.world.world import STEP_US, World
from tests.unit.adas_drive.world.egos import blind
from tests.unit.adas_drive.world.toys import toy

STOP = Command(-9.0, 0.0)


def watch(world: World, seconds: float, command: Command | None = None) -> Floats:
    """States of the others, shape (steps, N, 6)."""
    rows = []
    for _ in range(round(seconds * 1e6 / STEP_US)):
        world.step(command or blind(world))
        rows.append(world.truth().others.state_N6)
    return np.array(rows)


def test_a_follower_keeps_its_gap_behind_an_ego_that_brakes_hard() -> None:
    """The ego brakes from 12 m/s as hard as it can, with a car 1.5 s behind: it must stop, not hit."""
    for seed in range(2):
        world = World(toy(Actor(-24.0, RIGHT, 12.0)), seed)
        watch(world, 3.0)
        watch(world, 7.0, STOP)
        assert not world.collisions
        truth = world.truth()
        between = truth.ego_6[0] - truth.others.state_N6[0, 0] - 4.55
        assert 1.0 < between < 4.0
        assert truth.others.state_N6[0, SPEED] < 0.1


def test_a_queue_of_ten_settles_without_touching() -> None:
    cars = [Actor(150.0 - 14.0 * n, RIGHT, 12.0) for n in range(9)]
    lead = Actor(165.0, RIGHT, 12.0, acts=(Act(at(2.0), ToSpeed(0.0, 7.0)), Act(after(25.0), Heed(12.0))))
    world = World(toy(lead, *cars, seconds=60, speed_mps=0.0), 1)
    states = watch(world, 55.0, Command(0.0, 0.0))
    gaps = states[:, :-1, 0] - states[:, 1:, 0] - 4.5
    assert gaps.min() > 0.5
    stood = states[2650, :, SPEED]
    assert stood.max() < 0.5
    moving = states[-1]
    assert moving[0, SPEED] > 10.0
    # free again, the gap is at least the drivers' time gap
    assert (gaps[-1] > 0.8 * 1.1 * moving[1:, SPEED]).all()


@pytest.mark.parametrize("name", ["traffic_flows", "merging", "cyclist_swerves", "gentle_bends"])
def test_nobody_leaves_physics(name: str) -> None:
    world = World(SCENARIOS[name], 2)
    before = world.truth().others.state_N6
    states = watch(world, 9.0)
    assert np.isfinite(states).all()
    assert states[..., SPEED].min() >= 0.0
    assert states[..., ACCEL].min() >= -HARDEST_BRAKE_MPS2 - 1e-6
    assert states[..., ACCEL].max() <= 3.5
    assert np.abs(states[..., SPEED] * states[..., YAW_RATE]).max() <= MAX_LATERAL_MPS2 + 1e-6
    # they go where they point, as fast as they say
    path = np.concatenate([before[None], states])
    moved = np.diff(path[..., :2], axis=0) / (STEP_US / 1e6)
    middle = (path[1:, :, SPEED] + path[:-1, :, SPEED]) / 2
    assert np.abs(np.hypot(moved[..., 0], moved[..., 1]) - middle).max() < 0.25
    pointing = np.arctan2(moved[..., 1], moved[..., 0])
    fast = middle > 1.0
    off = np.abs(np.angle(np.exp(1j * (pointing - states[..., HEADING]))))[fast]
    assert off.max() < 0.03


def test_yaw_rate_is_the_change_of_heading() -> None:
    world = World(toy(Actor(30.0, RIGHT, 12.0), road=BENDS, seconds=40.0), 1)
    states = watch(world, 15.0)
    heading = np.unwrap(states[:, 0, HEADING])
    # over half a second: within one decision it is held, while the road's bend goes on
    turned = heading[50:] - heading[:-50]
    said = np.convolve(states[:, 0, YAW_RATE], np.ones(50) / 100, mode="valid")[1:]
    assert np.abs(turned).max() > 0.02
    assert np.abs(turned - said).max() < 0.005


def test_traffic_stays_in_its_lane_through_bends() -> None:
    world = World(
        toy(Actor(30.0, RIGHT, 12.0), Actor(300.0, MIDDLE, 11.0, against=True), road=BENDS, seconds=40.0), 1
    )
    states = watch(world, 20.0)
    for n, middle in enumerate((RIGHT, MIDDLE)):
        _, d = world.road.to_road(states[:, n, :2])
        assert np.abs(d - middle).max() < 0.3


def test_who_is_stuck_changes_lanes_and_hits_nobody() -> None:
    slow, fast = Actor(70.0, RIGHT, 4.0), Actor(40.0, RIGHT, 12.0, changes_lanes=True)
    world = World(toy(slow, fast, road=AVENUE, speed_mps=0.0), 1)
    states = watch(world, 15.0, STOP)
    _, d = world.road.to_road(states[:, 1, :2])
    assert d[-1] == pytest.approx(MIDDLE, abs=0.1)
    assert states[-1, 1, SPEED] > 11.0
    sizes = world.truth().others.size_N3
    for both in states[::5]:
        assert not touch(both[0], sizes[0], both[1:], sizes[1:])[0]


def test_no_lane_change_into_somebody_beside_or_into_oncoming_lanes() -> None:
    slow, stuck = Actor(60.0, RIGHT, 4.0), Actor(40.0, RIGHT, 10.0, changes_lanes=True)
    beside = [Actor(34.0 - 9 * n, MIDDLE, 10.0, manner=Manner.CRUISES) for n in range(6)]
    world = World(toy(slow, stuck, *beside, road=AVENUE, speed_mps=0.0), 1)
    _, d = world.road.to_road(watch(world, 4.0, STOP)[:, 1, :2])
    assert np.abs(d - RIGHT).max() < 0.2
    world = World(toy(slow, stuck, road=STREET, speed_mps=0.0), 1)
    _, d = world.road.to_road(watch(world, 10.0, STOP)[:, 1, :2])
    assert np.abs(d - RIGHT).max() < 0.2


def test_a_cut_in_ends_in_the_lane_in_about_the_time_it_was_given() -> None:
    mover = Actor(30.0, MIDDLE, 12.0, acts=(Act(gap(40.0), ToSide(RIGHT, 2.5)),))
    world = World(toy(mover, road=AVENUE), 1)
    _, d = world.road.to_road(watch(world, 6.0)[:, 0, :2])
    done = float(np.argmax(np.abs(d - RIGHT) < 0.35)) * STEP_US / 1e6
    assert 1.8 < done < 3.5
    assert d[-1] == pytest.approx(RIGHT, abs=0.05)


def test_a_walker_who_heeds_waits_for_the_ego_and_one_who_does_not_does_not() -> None:
    for heeds, crossed_by_ten in ((True, False), (False, True)):
        walker = person(90.0, -1.0, acts=(Act(at(3.0), Walk(9.0, 1.4, heeds=heeds)),))
        world = World(toy(walker, seconds=40), 1)
        began = watch(world, 6.0)[:, 0, SPEED] > 0
        assert began.any() == crossed_by_ten
        if heeds:
            after_ego = watch(world, 12.0)
            assert not world.collisions
            assert after_ego[-1, 0, 1] == pytest.approx(9.0, abs=0.1)


def test_cars_brake_for_a_walker_in_their_way() -> None:
    walker = person(120.0, RIGHT)
    world = World(toy(Actor(60.0, RIGHT, 12.0), walker, speed_mps=0.0), 1)
    states = watch(world, 15.0, STOP)
    assert states[-1, 0, SPEED] < 0.1
    assert 0.5 < states[-1, 1, 0] - states[-1, 0, 0] - 2.25 < 5.0


def test_who_stands_does_not_move() -> None:
    world = World(SCENARIOS["parked_row"], 1)
    before = world.truth().others.state_N6[:4]
    assert (watch(world, 5.0)[-1, :4] == before).all()


def test_a_body_before_the_road_and_behind_its_end_goes_straight_on() -> None:
    short = Road(((150.0, 0.0),), lanes=2)
    world = World(
        toy(Actor(-100.0, MIDDLE, 15.0), Actor(80.0, RIGHT, 15.0), road=short, speed_mps=0.0, seconds=40), 1
    )
    states = watch(world, 20.0, STOP)
    assert np.isfinite(states).all()
    assert states[-1, 1, 0] == pytest.approx(60.0 + 80.0 + 300.0, rel=0.05)
    assert np.abs(states[..., 1] - [MIDDLE, RIGHT]).max() < 0.1
