"""A drive in circles and waves, as IMU and GPS tell it: noise, a receiver that is off for minutes, latency."""

import math
from dataclasses import dataclass, field, replace

import numpy as np

from agentforge.phase7_adas.drive.agent import Motion
from agentforge.phase7_adas.drive.fusion.ego import EgoFilter
from agentforge.phase7_adas.drive.messages import Ego
from agentforge.phase7_adas.drive.readings import GpsReading, ImuReading, Stamp
from agentforge.phase7_adas.drive.truth import Floats


@dataclass
class Drive:
    truth: Floats
    """Every 10 ms: x, y, heading, speed, acceleration, yaw rate."""
    imu: list[ImuReading] = field(default_factory=list)
    gps: list[GpsReading] = field(default_factory=list)

    def motion(self, t_us: int, last_us: int) -> Motion:
        imu = [each for each in self.imu if last_us < each.stamp.arrived_us <= t_us]
        gps = [each for each in self.gps if last_us < each.stamp.arrived_us <= t_us]
        return Motion(t_us, tuple(imu), tuple(gps))


def drive(seed: int, seconds: float) -> Drive:
    rng = np.random.default_rng(seed)
    off, bias_a, bias_g = rng.normal(0, 0.9, 2), rng.normal(0, 0.05), rng.normal(0, 0.002)
    x, y, heading, speed, dt = 0.0, 0.0, 0.3, 10.0, 0.01
    made, truth = Drive(np.zeros((0, 6))), []
    for tick in range(int(seconds / dt)):
        t_us, accel, turn = tick * 10_000, 1.5 * math.sin(tick * dt / 3), 0.15 * math.sin(tick * dt / 5)
        truth.append((x, y, heading, speed, accel, turn))
        made.imu.append(
            ImuReading(
                Stamp("imu", tick, t_us, t_us + 1000),
                np.array([accel + bias_a + rng.normal(0, 0.05), speed * turn, 9.81]),
                np.array([0.0, 0.0, turn + bias_g + rng.normal(0, 0.002)]),
                np.array([math.sin(heading), math.cos(heading), 0.0]) + rng.normal(0, 0.03, 3),
            )
        )
        if tick % 20 == 0:
            velocity = np.array([speed * math.cos(heading), speed * math.sin(heading)]) + rng.normal(0, 0.1, 2)
            arrives = t_us + 60_000 + int(rng.integers(0, 20_000))
            place = np.array([x, y]) + off + rng.normal(0, 0.4, 2)
            made.gps.append(GpsReading(Stamp("gps", tick // 20, t_us, arrives), place, velocity, 1.0))
        step = (speed + accel * dt / 2) * dt
        x, y = x + step * math.cos(heading + turn * dt / 2), y + step * math.sin(heading + turn * dt / 2)
        heading, speed = heading + turn * dt, speed + accel * dt
    made.truth = np.array(truth)
    return made


def follow(told: Drive, ego: EgoFilter, seconds: float) -> list[Ego]:
    ticks = range(50_000, int(seconds * 1e6), 50_000)
    return [ego.step(told.motion(t_us, t_us - 50_000)) for t_us in ticks]


def errors(told: Drive, egos: list[Ego]) -> Floats:
    off = np.array([each.state_6 for each in egos]) - told.truth[[each.t_us // 10_000 for each in egos]]
    off[:, 2] = np.angle(np.exp(1j * off[:, 2]))
    return off


def jumped(told: Drive, from_us: int, until_us: int, metres: float) -> Drive:
    def moved(each: GpsReading) -> GpsReading:
        acts = from_us <= each.stamp.taken_us < until_us
        return replace(each, xy_2=each.xy_2 + np.array([metres, 0.0])) if acts else each

    return Drive(told.truth, told.imu, [moved(each) for each in told.gps])
