"""The ego's body: a kinematic bicycle behind actuators that lag and have limits."""

from __future__ import annotations

import math

import numpy as np

from agentforge.phase7_adas.drive.messages import Command
from agentforge.phase7_adas.drive.truth import Floats
from agentforge.phase7_adas.drive.world import limits


class EgoBody:
    """Steers by its front wheels' angle, from which the curvature follows.

    The point that does not slip is the box's centre (on a real car it is the rear axle, 1.3 m behind): the state
    has no slip angle, so the velocity of the centre is along the heading for sensors, fusion and planner alike.
    """

    def __init__(self, x_m: float, y_m: float, heading_rad: float, speed_mps: float, grip_mps2: float) -> None:
        self.x_m, self.y_m, self.heading_rad, self.speed_mps = x_m, y_m, heading_rad, speed_mps
        self.accel_mps2 = self.steer_rad = 0.0
        self._drive_accel = 0.0
        self._told = Command(0.0, 0.0)
        self._grip = grip_mps2

    @property
    def curvature_per_m(self) -> float:
        return math.tan(self.steer_rad) / limits.WHEELBASE_M

    def step(self, command: Command, dt_s: float) -> None:
        """A command that is not a number is no command: the actuators hold what they were last told."""
        if math.isfinite(command.accel_mps2) and math.isfinite(command.curvature_per_m):
            self._told = command
        self._actuate(self._told, dt_s)
        speed = self.speed_mps + self._drive_accel * dt_s
        speed = min(max(speed, 0.0), limits.MAX_SPEED_MPS)
        self.accel_mps2 = (speed - self.speed_mps) / dt_s
        middle = (speed + self.speed_mps) / 2
        turn = middle * self.curvature_per_m * dt_s
        # along the chord of the arc that is driven in this step
        self.x_m += middle * dt_s * math.cos(self.heading_rad + turn / 2)
        self.y_m += middle * dt_s * math.sin(self.heading_rad + turn / 2)
        self.heading_rad = math.remainder(self.heading_rad + turn, math.tau)
        self.speed_mps = speed

    def _actuate(self, command: Command, dt_s: float) -> None:
        wanted = min(max(command.accel_mps2, limits.MIN_ACCEL_MPS2), limits.MAX_ACCEL_MPS2)
        wanted = max(wanted, -self._grip)
        self._drive_accel += (wanted - self._drive_accel) * (1.0 - math.exp(-dt_s / limits.ACCEL_LAG_S))
        bend = min(max(command.curvature_per_m, -limits.MAX_CURVATURE_PER_M), limits.MAX_CURVATURE_PER_M)
        # what the tyres have left beside braking bounds the bend
        left = math.sqrt(max(self._grip**2 - self._drive_accel**2, 1.0))
        most = left / max(self.speed_mps, 1.0) ** 2
        bend = min(max(bend, -most), most)
        steer = math.atan(bend * limits.WHEELBASE_M)
        change = (steer - self.steer_rad) * (1.0 - math.exp(-dt_s / limits.STEER_LAG_S))
        fastest = limits.MAX_STEER_RATE_RADPS * dt_s
        self.steer_rad += min(max(change, -fastest), fastest)

    def state_6(self) -> Floats:
        yaw_rate = self.speed_mps * self.curvature_per_m
        return np.array([self.x_m, self.y_m, self.heading_rad, self.speed_mps, self.accel_mps2, yaw_rate])
