"""The world as a whole: determinism, truth that stays true, the road's edges."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from agentforge.phase7_adas.drive.messages import Command
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.truth import EGO_ID
from agentforge.phase7_adas.drive.world.world import STEP_US, World
from tests.unit.adas_drive.world.egos import blind
from tests.unit.adas_drive.world.toys import toy


def digest(name: str, seed: int, accel: float = 0.0) -> str:
    world, told = World(SCENARIOS[name], seed), hashlib.sha256()
    command = blind(world)
    for step in range(500):
        command = blind(world) if step % 5 == 0 else command
        world.step(Command(command.accel_mps2 + accel, command.curvature_per_m))
        truth = world.truth()
        told.update(truth.ego_6.tobytes() + truth.others.state_N6.tobytes())
    return told.hexdigest()


@pytest.mark.parametrize("name", ["traffic_flows", "cut_in", "pedestrian_crosses"])
def test_same_seed_same_bytes_other_seed_other_drivers(name: str) -> None:
    assert digest(name, 7) == digest(name, 7)
    assert digest(name, 7) != digest(name, 7, accel=-0.5)
    if name == "traffic_flows":
        assert digest(name, 7) != digest(name, 8)


def test_a_truth_that_was_given_does_not_change_afterwards() -> None:
    world = World(SCENARIOS["traffic_flows"], 1)
    kept = []
    for _ in range(23):
        world.step(Command(0.0, 0.0))
        truth = world.truth()
        kept.append((truth, truth.others.state_N6.tobytes(), truth.ego_6.tobytes()))
    for truth, others, ego in kept:
        assert truth.others.state_N6.tobytes() == others
        assert truth.ego_6.tobytes() == ego


def test_ids_are_sorted_and_never_the_egos() -> None:
    for scenario in SCENARIOS.values():
        ids = World(scenario, 1).truth().others.id_N
        assert (np.diff(ids) > 0).all()
        assert EGO_ID not in ids


def test_time_goes_by_the_step_and_ends_with_the_scenario() -> None:
    world = World(toy(seconds=0.5), 1)
    steps = 0
    while not world.over:
        world.step(Command(0.0, 0.0))
        steps += 1
    assert (steps, world.t_us) == (50, 50 * STEP_US)


def test_an_empty_road_has_no_bodies_and_no_collisions() -> None:
    world = World(SCENARIOS["empty_road"], 1)
    for _ in range(100):
        world.step(Command(0.0, 0.0))
    assert len(world.truth().others) == 0
    assert world.truth().others.state_N6.shape == (0, 6)
    assert world.collisions == []


def test_time_beside_the_road_is_counted() -> None:
    world = World(toy(), 1)
    for _ in range(300):
        world.step(blind(world))
    assert world.off_road_us == 0
    for _ in range(300):
        world.step(Command(0.0, -0.02))
    assert world.off_road_us > 1_000_000


def test_the_ego_starts_where_the_scenario_says() -> None:
    world = World(SCENARIOS["merging"], 1)
    s, d = world.road.to_road(world.truth().ego_6[None, :2])
    assert (s[0], d[0]) == pytest.approx((60.0, 5.25))
    assert world.lane == 1
