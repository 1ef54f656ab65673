"""The monitor's own belief of the ego: the last trusted state, moved on by what was commanded since."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.messages import Command
from agentforge.phase7_adas.drive.truth import Floats
from agentforge.phase7_adas.drive.world import limits

STEP_S: Final = 0.01


class Belief:
    """Needs no sensor once it has been told a state; how wrong it is by then grows with `age_us`."""

    def __init__(self) -> None:
        self.state_6: Floats | None = None
        self.t_us = 0
        self.told_us = 0

    @property
    def age_us(self) -> int:
        return self.t_us - self.told_us

    def tell(self, t_us: int, state_6: Floats) -> None:
        self.state_6, self.t_us, self.told_us = np.array(state_6, dtype=np.float64), t_us, t_us

    def move_on(self, t_us: int, command: Command) -> None:
        """By the command that held since the last tick, through brakes and steering that lag."""
        if self.state_6 is None or t_us <= self.t_us:
            return
        self.state_6 = moved(self.state_6, (t_us - self.t_us) / 1e6, command)
        self.t_us = t_us


def moved(state_6: Floats, seconds: float, command: Command) -> Floats:
    x, y, heading, speed, accel, yaw_rate = state_6.tolist()
    bend = yaw_rate / speed if speed > 1.0 else command.curvature_per_m
    left = min(seconds, 2.0)
    while left > 1e-9:
        step = min(STEP_S, left)
        accel += (command.accel_mps2 - accel) * (1 - math.exp(-step / limits.ACCEL_LAG_S))
        bend += (command.curvature_per_m - bend) * (1 - math.exp(-step / limits.STEER_LAG_S))
        before, speed = speed, max(speed + accel * step, 0.0)
        way = (before + speed) / 2 * step
        x, y = x + way * math.cos(heading + way * bend / 2), y + way * math.sin(heading + way * bend / 2)
        heading += way * bend
        left -= step
    return np.array([x, y, heading, speed, accel if speed > 0 else 0.0, speed * bend])  # as truth's columns
