"""Whether a reading can be used at all. Sensors break: what they say then is dropped and counted, never trusted."""

from __future__ import annotations

from typing import Any

import numpy as np

from agentforge.phase7_adas.drive.readings import (
    AZIMUTH,
    RANGE,
    CameraReading,
    LidarReading,
    RadarReading,
)
from agentforge.phase7_adas.drive.sensors.spec import CameraSpec

OLDEST_US, NEWEST_US = 300_000, 10_000
"""A reading may be this old, and by a clock that is a little ahead this much in the future."""
MOST_RETURNS, MOST_POINTS = 4096, 200_000
FARTHEST_M = 1000.0


def fault_of(reading: CameraReading | RadarReading | LidarReading, t_us: int, spec: CameraSpec) -> str:
    """Why it cannot be used; empty if it can."""
    return time_fault_of(reading, t_us) or payload_fault_of(reading, spec)


def time_fault_of(reading: CameraReading | RadarReading | LidarReading, t_us: int) -> str:
    taken: Any = reading.stamp.taken_us
    if not isinstance(taken, (int, np.integer)):
        return "stamp"
    return "" if -NEWEST_US <= t_us - int(taken) <= OLDEST_US else "time"


def payload_fault_of(reading: CameraReading | RadarReading | LidarReading, spec: CameraSpec) -> str:
    """Whenever it is asked, the same."""
    if isinstance(reading, CameraReading):
        image: Any = reading.image_HW
        good = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape == spec.shape
        return "" if good else "shape"
    if isinstance(reading, RadarReading):
        return _numbers(reading.returns_N4, MOST_RETURNS) or _polar(reading.returns_N4)
    return _numbers(reading.points_N4, MOST_POINTS) or _near(reading.points_N4)


def _numbers(given: Any, most: int) -> str:
    if not isinstance(given, np.ndarray) or given.dtype.kind != "f" or given.ndim != 2 or given.shape[1] != 4:
        return "shape"
    if len(given) > most:
        return "many"
    return "" if np.isfinite(given.sum()) or np.isfinite(given).all() else "numbers"


def _polar(returns_N4: np.ndarray) -> str:
    far, azimuth = returns_N4[:, RANGE], returns_N4[:, AZIMUTH]
    good = ((far >= 0.0) & (far <= FARTHEST_M) & (np.abs(azimuth) <= np.pi)).all()
    return "" if good else "values"


def _near(points_N4: np.ndarray) -> str:
    return "" if len(points_N4) == 0 or np.abs(points_N4[:, :3]).max() <= FARTHEST_M else "values"
