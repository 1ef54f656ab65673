"""Scenes and scenarios that several tests use."""

from __future__ import annotations

import numpy as np

from agentforge.phase7_adas.drive.agent import Scene
from agentforge.phase7_adas.drive.messages import Ego, Mode, Predictions, Tracks
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.scenarios.scenario import EgoStart, Family, Scenario, Wanted
from agentforge.phase7_adas.drive.scenarios.script import Actor
from agentforge.phase7_adas.drive.truth import Kind
from tests.unit.adas_drive.planning.bench import straight

STREET = Road(((1500.0, 0.0),), lanes=2, oncoming=1)
AVENUE = Road(((2000.0, 0.0),), lanes=3, oncoming=1)
RIGHT, MIDDLE = STREET.lane_centre_d(0), STREET.lane_centre_d(1)


def case(road: Road, *actors: Actor, seconds: float = 15.0, speed_mps: float = 12.0, lane: int = 0) -> Scenario:
    ego = EgoStart(speed_mps=speed_mps, lane=lane)
    return Scenario("case", Family.CARS, "A test's.", seconds, road, Wanted.GOES_ON, False, ego, actors=actors)


def tracks(
    t_us: int, *rows: tuple[float, float, float, float], kind: Kind = Kind.VEHICLE, sources: int = 7
) -> Tracks:
    """Rows are x, y, vx, vy; ids count from one."""
    count = len(rows)
    size = (4.5, 1.8, 1.5) if kind == Kind.VEHICLE else (0.5, 0.5, 1.7)
    return Tracks(
        t_us, np.arange(1, count + 1), np.array(rows, dtype=np.float64).reshape(-1, 4),
        np.tile(np.eye(4) * 0.04, (count, 1, 1)), np.tile(size, (count, 1)).astype(np.float64),
        np.full(count, int(kind)), np.ones(count), np.full(count, sources), np.full(count, 2_000_000),
        np.zeros(count, dtype=np.int64),
    )  # fmt: skip


def ego(t_us: int, x: float, y: float, speed: float, heading: float = 0.0, yaw_rate: float = 0.0) -> Ego:
    return Ego(t_us, np.array([x, y, heading, speed, 0.0, yaw_rate]), np.eye(6) * 0.01, True)


def scene(
    there: Tracks,
    speed: float = 12.0,
    road: Road = STREET,
    mode: Mode = Mode.NORMAL,
    d: float = RIGHT,
    predictions: Predictions | None = None,
) -> Scene:
    """The ego at s = 60 on a road that begins straight."""
    return Scene(there.t_us, ego(there.t_us, 60.0, d, speed), there, predictions or straight(there), road, 0, mode)
