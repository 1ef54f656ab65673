"""What sensors say: one reading of one sensor, by its own clock, with the instant it arrived by the ego's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.truth import Floats

# columns of RadarReading.returns_N4
RANGE, AZIMUTH, RANGE_RATE, SNR_DB = range(4)


@dataclass(frozen=True)
class Stamp:
    """`taken_us` by the sensor's clock, which may be skewed; `arrived_us` by the ego's."""

    sensor: str
    sequence: int
    taken_us: int
    arrived_us: int


@dataclass(frozen=True)
class CameraReading:
    stamp: Stamp
    image_HW: NDArray[np.uint8]
    """Brightness, the sensor's pixels binned (CameraSpec says how)."""


@dataclass(frozen=True)
class RadarReading:
    stamp: Stamp
    returns_N4: Floats
    """Range in m, azimuth in rad to the left of ahead, range rate in m/s (negative: nearer), SNR in dB."""


@dataclass(frozen=True)
class LidarReading:
    stamp: Stamp
    points_N4: Floats
    """x, y, z in the ego's frame (metres), and intensity from 0 to 1. The ground gives points, too."""


@dataclass(frozen=True)
class ImuReading:
    stamp: Stamp
    accel_3: Floats
    """Specific force in the ego's frame, m/s2: at rest (0, 0, 9.81)."""
    gyro_3: Floats
    """rad/s about x, y, z."""
    magnet_3: Floats
    """Unit vector of magnetic north (world y) in the ego's frame."""


@dataclass(frozen=True)
class GpsReading:
    stamp: Stamp
    xy_2: Floats
    """World metres."""
    velocity_2: Floats
    """World m/s, from Doppler."""
    sigma_m: float
    """The receiver's own claim."""


Reading: TypeAlias = CameraReading | RadarReading | LidarReading | ImuReading | GpsReading
