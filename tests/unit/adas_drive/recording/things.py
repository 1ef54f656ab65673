"""Readings as a suite might give them, wrong ones among them."""

from __future__ import annotations

import numpy as np

from agentforge.phase7_adas.drive.messages import Command, Fault, Mode, Verdict
from agentforge.phase7_adas.drive.readings import (
    CameraReading,
    GpsReading,
    ImuReading,
    LidarReading,
    RadarReading,
    Reading,
    Stamp,
)
from agentforge.phase7_adas.drive.recording.things import Thing
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.world.world import World


def readings(t_us: int, sequence: int) -> list[Reading]:
    draw = np.random.default_rng(sequence)

    def stamp(sensor: str, ahead_us: int = 0) -> Stamp:
        return Stamp(sensor, sequence, t_us - 30_000 + ahead_us, t_us)

    wrong = sequence % 5 == 4
    points = np.full((3, 7), np.nan) if wrong else draw.normal(size=(40, 4))
    return [
        ImuReading(stamp("imu"), draw.normal(size=3), draw.normal(size=3), np.array([0.0, -0.0, np.inf])),
        GpsReading(stamp("gps"), draw.normal(size=2), draw.normal(size=2), float("nan") if wrong else 1.0),
        CameraReading(stamp("camera"), draw.integers(0, 256, (12, 20)).astype(np.uint8)),
        RadarReading(stamp("radar", -2_000_000), np.zeros((0, 4))),
        LidarReading(stamp("lidar"), points),
    ]


def a_run(ticks: int = 12) -> list[Thing]:
    """What a closed loop would write, tick by tick."""
    world = World(SCENARIOS["traffic_flows"], 3)
    things: list[Thing] = []
    for tick in range(ticks):
        for _ in range(5):
            world.step(Command(0.1, 0.0))
        things += readings(world.t_us, tick)
        things.append(world.truth())
        faults = (Fault("STALE", world.t_us, "lidar", "300 ms old – ☃"),) if tick == 3 else ()
        things.append(Verdict(world.t_us, Mode.DEGRADED, Command(-1.5, 1e-3), faults))
    return things
