"""The ego's body: limits, lag, and geometry of a bicycle."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agentforge.phase7_adas.drive.messages import Command
from agentforge.phase7_adas.drive.truth import ACCEL, HEADING, SPEED, YAW_RATE, Floats
from agentforge.phase7_adas.drive.world import limits
from agentforge.phase7_adas.drive.world.ego import EgoBody

DT = 0.01


def driven(body: EgoBody, command: Command, seconds: float) -> Floats:
    rows = []
    for _ in range(round(seconds / DT)):
        body.step(command, DT)
        rows.append(body.state_6())
    return np.array(rows)


def car(speed_mps: float = 15.0, grip: float = limits.GRIP_MPS2) -> EgoBody:
    return EgoBody(0.0, 0.0, 0.0, speed_mps, grip)


def test_wild_commands_stay_within_what_a_car_can_do() -> None:
    draw = np.random.default_rng(3)
    body, last_steer = car(), 0.0
    for _ in range(4000):
        body.step(Command(float(draw.normal(0, 30)), float(draw.normal(0, 1))), DT)
        state = body.state_6()
        assert limits.MIN_ACCEL_MPS2 - 1e-9 <= state[ACCEL] <= limits.MAX_ACCEL_MPS2 + 1e-9
        assert 0.0 <= state[SPEED] <= limits.MAX_SPEED_MPS
        assert abs(body.curvature_per_m) <= limits.MAX_CURVATURE_PER_M + 1e-9
        assert abs(body.steer_rad - last_steer) <= limits.MAX_STEER_RATE_RADPS * DT + 1e-12
        last_steer = body.steer_rad
    assert -math.pi <= state[HEADING] <= math.pi


def test_full_brake_stops_in_the_distance_that_physics_says() -> None:
    states = driven(car(15.0), Command(-99.0, 0.0), 4.0)
    ideal = 15.0**2 / (2 * 9.0)
    late = 15.0 * limits.ACCEL_LAG_S
    assert states[-1, SPEED] == 0.0
    assert ideal + 0.6 * late < states[-1, 0] < ideal + 1.1 * late
    assert states[-1, ACCEL] == 0.0


def test_a_wet_road_brakes_less() -> None:
    dry = driven(car(), Command(-9.0, 0.0), 5.0)[-1, 0]
    wet = driven(car(grip=limits.grip_mps2(1.0)), Command(-9.0, 0.0), 5.0)[-1, 0]
    assert wet > dry * 1.3


def test_the_brake_answers_with_its_time_constant() -> None:
    states = driven(car(30.0), Command(-6.0, 0.0), 1.0)
    at_one = states[round(limits.ACCEL_LAG_S / DT) - 1, ACCEL]
    assert at_one == pytest.approx(-6.0 * (1 - math.exp(-1)), abs=0.05)
    assert states[-1, ACCEL] == pytest.approx(-6.0, abs=0.02)


def test_steady_steering_drives_a_circle() -> None:
    body = car(8.0)
    driven(body, Command(0.0, 0.05), 2.0)
    start = body.state_6()
    states = driven(body, Command(0.0, 0.05), 2 * math.pi * 20.0 / 8.0)
    assert np.hypot(*(states[-1, :2] - start[:2])) < 0.1
    across = states[:, :2].max(axis=0) - states[:, :2].min(axis=0)
    assert across == pytest.approx([40.0, 40.0], abs=0.1)
    assert states[:, YAW_RATE] == pytest.approx(8.0 * 0.05, abs=1e-3)


def test_fast_bends_are_bounded_by_grip() -> None:
    states = driven(car(30.0), Command(0.0, 0.18), 3.0)
    assert np.abs(states[:, SPEED] * states[:, YAW_RATE]).max() <= limits.GRIP_MPS2 + 0.01
    braking = driven(car(30.0), Command(-9.0, 0.18), 1.0)
    total = np.hypot(braking[:, ACCEL], braking[:, SPEED] * braking[:, YAW_RATE])
    assert total.max() <= limits.GRIP_MPS2 * 1.15


@pytest.mark.parametrize("bad", [Command(math.nan, 0.0), Command(0.0, math.inf), Command(-math.inf, math.nan)])
def test_a_command_that_is_no_number_leaves_the_last_one_in_force(bad: Command) -> None:
    told, mute = car(), car()
    for body in (told, mute):
        driven(body, Command(-2.0, 0.01), 0.5)
    one = driven(told, Command(-2.0, 0.01), 0.5)
    other = driven(mute, bad, 0.5)
    assert one.tobytes() == other.tobytes()


def test_standing_it_does_not_go_backwards() -> None:
    states = driven(car(0.0), Command(-9.0, 0.1), 1.0)
    assert (states[:, :2] == 0.0).all()
    assert (states[:, SPEED] == 0.0).all()
