"""Who caused a collision: each case of the rule, made to happen."""

from __future__ import annotations

import numpy as np
import pytest

from agentforge.phase7_adas.drive.messages import Command
from agentforge.phase7_adas.drive.scenarios.roads import AVENUE, MIDDLE, RIGHT
from agentforge.phase7_adas.drive.scenarios.script import Act, Actor, Manner, ToSide, Walk, arrival, at, gap, person
from agentforge.phase7_adas.drive.world.blame import STANDS_MPS, Why, braking_room_m
from agentforge.phase7_adas.drive.world.world import World
from tests.unit.adas_drive.world.egos import blind, drive_blind
from tests.unit.adas_drive.world.toys import toy


def test_a_wall_in_the_way_is_the_egos_fault() -> None:
    (collision,) = drive_blind(World(toy(Actor(80.0, RIGHT, manner=Manner.STANDS)), 1)).collisions
    assert (collision.why, collision.ego_caused) == (Why.NOT_BRAKED, True)
    assert collision.relative_speed_mps == pytest.approx(12.0, abs=0.1)
    assert collision.t_us == pytest.approx((80.0 - 4.55) / 12.0 * 1e6, abs=60_000)


def test_who_stands_is_not_at_fault() -> None:
    ram = Actor(60.0, RIGHT, 10.0, against=True, manner=Manner.CRUISES)
    (collision,) = drive_blind(World(toy(ram, speed_mps=0.0), 1)).collisions
    assert (collision.why, collision.ego_caused) == (Why.STOOD, False)
    assert collision.ego_speed_mps < STANDS_MPS


def test_hit_from_behind_is_not_the_egos_fault() -> None:
    ram = Actor(-30.0, RIGHT, 20.0, manner=Manner.CRUISES)
    (collision,) = drive_blind(World(toy(ram), 1)).collisions
    assert (collision.why, collision.ego_caused) == (Why.FROM_BEHIND, False)
    assert collision.relative_speed_mps == pytest.approx(8.0, abs=0.1)


@pytest.mark.parametrize(("room_s", "caused"), [(0.5, False), (2.0, True)])
def test_whoever_steps_out_too_near_is_not_the_egos_fault_and_farther_away_is(room_s: float, caused: bool) -> None:
    # starts right beside the way, so that it is entered at once
    walker = person(60.0, 0.25, acts=(Act(arrival(room_s), Walk(1.9, 2.0, heeds=False)),))
    (collision,) = drive_blind(World(toy(walker), 1)).collisions
    assert collision.ego_caused == caused
    assert collision.why == (Why.NOT_BRAKED if caused else Why.NO_ROOM)


@pytest.mark.parametrize(("near_m", "caused"), [(1.0, False), (25.0, True)])
def test_cut_ins_too_near_and_far_enough(near_m: float, caused: bool) -> None:
    cutter = Actor(35.0, MIDDLE, 5.0, acts=(Act(gap(near_m), ToSide(RIGHT, 1.5)),), manner=Manner.CRUISES)
    (collision,) = drive_blind(World(toy(cutter, road=AVENUE), 1)).collisions
    assert collision.ego_caused == caused


def test_an_ego_that_cuts_in_before_a_faster_car_is_at_fault_though_hit_from_behind() -> None:
    ram = Actor(-8.0, MIDDLE, 16.0, manner=Manner.CRUISES)
    world = World(toy(ram, road=AVENUE, speed_mps=10.0), 1)
    world.lane = 1
    (collision,) = drive_blind(world).collisions
    assert (collision.why, collision.ego_caused) == (Why.EGO_CUT_IN, True)


def test_an_ego_that_changes_lanes_with_room_is_not_at_fault_when_hit_from_behind() -> None:
    ram = Actor(-60.0, MIDDLE, 14.0, manner=Manner.CRUISES)
    world = World(toy(ram, road=AVENUE, speed_mps=10.0), 1)
    world.lane = 1
    (collision,) = drive_blind(world).collisions
    assert (collision.why, collision.ego_caused) == (Why.FROM_BEHIND, False)


def test_an_ego_that_swerves_into_a_car_beside_it_is_at_fault() -> None:
    beside = Actor(0.5, MIDDLE, 12.0, manner=Manner.CRUISES)
    world = World(toy(beside, road=AVENUE), 1)
    world.lane = 1
    (collision,) = drive_blind(world).collisions
    assert collision.ego_caused


def test_a_car_that_swerves_into_the_ego_is_at_fault_itself() -> None:
    beside = Actor(0.5, MIDDLE, 12.0, manner=Manner.CRUISES, acts=(Act(at(2.0), ToSide(RIGHT, 2.0)),))
    (collision,) = drive_blind(World(toy(beside, road=AVENUE), 1)).collisions
    assert (collision.why, collision.ego_caused) == (Why.NO_ROOM, False)


def test_the_room_of_the_rule_is_the_room_that_braking_needs() -> None:
    """Braking as the rule supposes, the ego just stops before somebody who came in with that much room."""
    for onward in (-4.0, 0.0, 3.0):
        room = braking_room_m(12.0, onward, 9.0, 0.35)
        t = np.arange(0, 6, 1e-4)
        speed = np.maximum(12.0 - 9.0 * np.maximum(t - 0.35, 0), 0)
        between = room + np.cumsum(onward - speed) * 1e-4
        until = speed > max(onward, 0.0) + 1e-6
        assert abs(between[until].min()) < 0.01
    assert braking_room_m(5.0, 6.0, 9.0, 0.35) == 0.0


def test_a_collision_is_told_once_and_ends_the_run() -> None:
    world = World(toy(Actor(40.0, RIGHT, manner=Manner.STANDS)), 1)
    drive_blind(world)
    assert world.over
    for _ in range(30):
        world.step(Command(0.0, 0.0))
    assert len(world.collisions) == 1


def test_the_step_of_a_collision_is_told_though_it_is_looked_for_later() -> None:
    """Wherever within the steps between decisions it was: distance over speed says when."""
    told = set()
    for centimetres in range(0, 60, 6):
        wall = Actor(30.0 + centimetres / 100, RIGHT, manner=Manner.STANDS)
        world = World(toy(wall), 1)
        while not world.over:
            world.step(Command(0.0, 0.0))
        (collision,) = world.collisions
        exact_us = (30.0 + centimetres / 100 - 4.55) / 12.0 * 1e6
        assert 0 <= collision.t_us - exact_us <= 10_001
        told.add(collision.t_us % 50_000)
    assert len(told) == 5


def test_a_touch_of_a_stopped_ego_moments_after_it_stopped_counts_its_speed() -> None:
    world = World(toy(Actor(20.0, RIGHT, manner=Manner.STANDS)), 1)
    while not world.over:
        command = blind(world)
        world.step(Command(-3.0, command.curvature_per_m))
    (collision,) = world.collisions
    assert collision.ego_caused
    assert 0 < collision.ego_speed_mps < 12.0
