"""The catalogue: enough of it, well-formed, and every scenario is what it says."""

from __future__ import annotations

import pytest

from agentforge.phase7_adas.drive.injected import FaultKind
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.scenarios.scenario import Family, Scenario
from agentforge.phase7_adas.drive.scenarios.script import Manner
from agentforge.phase7_adas.drive.truth import Kind
from agentforge.phase7_adas.drive.world.blame import Why
from agentforge.phase7_adas.drive.world.world import World
from tests.unit.adas_drive.world.egos import careful, drive, drive_blind

PLACES = {
    Family.SENSORS: {"camera", "radar", "lidar", "imu", "gps"},
    Family.STAGES: {"fusion", "perception", "prediction", "planning"},
    Family.V2X: {"v2x"},
}
# faults change nothing in the world: of scenarios with the same world the last is driven
WORLDS = {(each.road, each.actors, each.ego, each.lane, each.weather): each for each in SCENARIOS.values()}
QUICK = (
    "tight_bends",
    "cut_in",
    "pulls_out",
    "wrong_way",
    "oncoming_overtaker_late",
    "pedestrian_from_behind_parked_car",
    "child_runs",
    "rain_sudden_brake",
    "v2x_hidden_stop",
)


def test_there_are_enough_and_the_wanted_ones_are_there() -> None:
    assert len(SCENARIOS) >= 30
    assert len(WORLDS) >= 40
    wanted = """cut_in sudden_brake pedestrian_from_behind_parked_car camera_dropout radar_dropout lidar_dropout
        imu_dropout gps_dropout radar_ghost lidar_ghost gps_jump camera_blinded stale_lidar clock_skew camera_frozen
        imu_bias planning_overrun perception_crash fog_stopped_lead night_pedestrian rain_sudden_brake
        stopped_lead_in_bend oncoming_overtaker cyclist_ahead stop_and_go merging debris wrong_way
        v2x_spoofed_car"""
    assert set(wanted.split()) <= set(SCENARIOS)
    assert {each.family for each in SCENARIOS.values()} == set(Family)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda each: each.name)
def test_each_is_well_formed(scenario: Scenario) -> None:
    assert scenario.summary.endswith(".")
    assert 10 <= scenario.seconds <= 60
    assert len(scenario.faults) <= 1
    for fault in scenario.faults:
        assert fault.where in PLACES[scenario.family]
        assert 0 < fault.from_us < scenario.seconds * 1e6
        assert fault.from_us < fault.until_us
    if scenario.family in (Family.SENSORS, Family.STAGES):
        assert scenario.faults
    room = scenario.road.length_m - scenario.ego.s_m
    assert room > scenario.ego.speed_mps * scenario.seconds, "the road ends before the scenario does"
    for actor in scenario.actors:
        assert actor.speed_mps >= 0
        assert actor.manner is not Manner.STANDS or actor.speed_mps == 0
        assert actor.kind != Kind.OBSTACLE or actor.manner in (Manner.STANDS, Manner.CRUISES)


def test_every_kind_of_fault_is_in_some_scenario() -> None:
    kinds = {fault.kind for each in SCENARIOS.values() for fault in each.faults}
    assert kinds == set(FaultKind)


def test_all_stages_and_all_sensors_have_faults() -> None:
    places = {fault.where for each in SCENARIOS.values() for fault in each.faults}
    assert places == set().union(*PLACES.values())


@pytest.mark.parametrize("name", QUICK)
def test_a_hazard_is_one_and_could_have_been_braked_for(name: str) -> None:
    judge_blind(SCENARIOS[name])


@pytest.mark.slow
@pytest.mark.parametrize("scenario", WORLDS.values(), ids=lambda each: each.name)
def test_every_hazard_is_one_and_could_have_been_braked_for(scenario: Scenario) -> None:
    judge_blind(scenario)


def judge_blind(scenario: Scenario) -> None:
    """An ego that sees nothing collides in a hazard, by its own fault; and not in a scenario without a hazard."""
    world = drive_blind(World(scenario, 1))
    assert bool(world.collisions) == scenario.hazard
    assert all(collision.why is Why.NOT_BRAKED for collision in world.collisions)
    assert world.off_road_us == 0


@pytest.mark.slow
@pytest.mark.parametrize("scenario", WORLDS.values(), ids=lambda each: each.name)
def test_who_sees_everything_and_brakes_comes_through(scenario: Scenario) -> None:
    assert drive(World(scenario, 1), careful).collisions == []


def test_nobody_starts_inside_another() -> None:
    for scenario in WORLDS.values():
        world = World(scenario, 1)
        assert world.collisions == []
        world.step(careful(world))
        assert world.collisions == []
