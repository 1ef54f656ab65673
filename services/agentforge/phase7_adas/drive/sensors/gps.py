"""The GPS: a position that is off by white noise and by an error that wanders, and a velocity from Doppler."""

from __future__ import annotations

import numpy as np

from agentforge.phase7_adas.drive.sensors.spec import GpsSpec
from agentforge.phase7_adas.drive.truth import HEADING, SPEED, Floats, Truth, X, Y


class Gps:
    """Its wandering error goes on from call to call, so calls must be in the order of time."""

    def __init__(self, spec: GpsSpec, rng: np.random.Generator) -> None:
        self.spec = spec
        self._bias = spec.bias_sigma_m * rng.standard_normal(2)

    def take(self, truth: Truth, rng: np.random.Generator, noise: float = 1.0) -> tuple[Floats, Floats]:
        """Position and velocity in the world's frame, of the ego's centre."""
        spec, ego = self.spec, truth.ego_6
        drawn = rng.standard_normal(6)
        keep = float(np.exp(-spec.period_us * 1e-6 / spec.bias_time_s))
        self._bias = keep * self._bias + np.sqrt(1.0 - keep**2) * spec.bias_sigma_m * drawn[:2]
        xy = ego[[X, Y]] + self._bias + noise * spec.noise_sigma_m * drawn[2:4]
        velocity = ego[SPEED] * np.array([np.cos(ego[HEADING]), np.sin(ego[HEADING])])
        return xy, velocity + noise * spec.velocity_sigma_mps * drawn[4:]
