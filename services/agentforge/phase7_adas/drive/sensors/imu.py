"""The IMU: nine axes, each with white noise; accelerometers and gyroscopes also with a bias that wanders."""

from __future__ import annotations

import numpy as np

from agentforge.phase7_adas.drive.sensors.spec import ImuSpec
from agentforge.phase7_adas.drive.truth import ACCEL, HEADING, SPEED, YAW_RATE, Floats, Truth

GRAVITY_MPS2 = 9.81


class Imu:
    """Its biases go on from call to call, so calls must be in the order of time."""

    def __init__(self, spec: ImuSpec, rng: np.random.Generator) -> None:
        self.spec = spec
        self._sigma = np.repeat([spec.accel_bias_mps2, spec.gyro_bias_radps], 3)
        self._bias = self._sigma * rng.standard_normal(6)

    def take(self, truth: Truth, rng: np.random.Generator, noise: float = 1.0) -> tuple[Floats, Floats, Floats]:
        """Specific force, turning rates, direction of magnetic north."""
        spec, ego = self.spec, truth.ego_6
        drawn = rng.standard_normal(15)
        keep = float(np.exp(-spec.period_us * 1e-6 / spec.bias_time_s))
        self._bias = keep * self._bias + np.sqrt(1.0 - keep**2) * self._sigma * drawn[:6]
        accel = np.array([ego[ACCEL], ego[SPEED] * ego[YAW_RATE], GRAVITY_MPS2])
        gyro = np.array([0.0, 0.0, ego[YAW_RATE]])
        magnet = np.array([np.sin(ego[HEADING]), np.cos(ego[HEADING]), 0.0])
        magnet = magnet + noise * spec.magnet_sigma * drawn[12:]
        return (
            accel + self._bias[:3] + noise * spec.accel_sigma_mps2 * drawn[6:9],
            gyro + self._bias[3:] + noise * spec.gyro_sigma_radps * drawn[9:12],
            magnet / np.linalg.norm(magnet),
        )
