"""From what a vehicle tells to the integers of BSM Part I. What a field cannot say becomes its nearest."""

from __future__ import annotations

import math

from agentforge.phase7_adas.drive.v2x.bsm import FORWARD, REVERSE
from agentforge.phase7_adas.drive.v2x.envelope import sec_mark
from agentforge.phase7_adas.drive.v2x.told import Told

DEGREE = 1e-7
SPEED_MPS, SPEED_UNKNOWN = 0.02, 8191
HEADING_DEG, HEADING_UNKNOWN = 0.0125, 28_800
SIGMA_M, SIGMA_MOST, SIGMA_UNKNOWN = 0.05, 254, 255
ACCEL_MPS2, ACCEL_UNKNOWN = 0.01, 2001
YAW_DEGPS = 0.01
SIZE_M = 0.01
LATITUDE_UNKNOWN, LONGITUDE_UNKNOWN = 900_000_001, 1_800_000_001
ELEVATION_UNKNOWN, VERTICAL_UNKNOWN, ANGLE_UNKNOWN, ORIENTATION_UNKNOWN = -4096, -127, 127, 65_535


def core_of(told: Told, latitude_deg: float, longitude_deg: float, count: int) -> dict[str, int]:
    return {
        "msgCnt": count % 128,
        "id": told.station,
        "secMark": sec_mark(told.t_us),
        "lat": round(latitude_deg / DEGREE),
        "long": round(longitude_deg / DEGREE),
        "elev": ELEVATION_UNKNOWN,
        "semiMajor": steps(told.sigma_m, SIGMA_M, 0, SIGMA_MOST),
        "semiMinor": steps(told.sigma_m, SIGMA_M, 0, SIGMA_MOST),
        "orientation": ORIENTATION_UNKNOWN,
        "transmission": REVERSE if told.speed_mps < 0 else FORWARD,
        "speed": steps(abs(told.speed_mps), SPEED_MPS, 0, SPEED_UNKNOWN - 1),
        "heading": round(compass_deg(told.heading_rad) / HEADING_DEG) % HEADING_UNKNOWN,
        "angle": ANGLE_UNKNOWN,
        "accelLong": steps(told.accel_mps2, ACCEL_MPS2, -2000, 2000),
        "accelLat": ACCEL_UNKNOWN,
        "accelVert": VERTICAL_UNKNOWN,
        "yaw": -steps(math.degrees(told.yaw_rate_radps), YAW_DEGPS, -32_767, 32_767),
        "wheelBrakes": 0b10000,  # bit 0: unavailable
        "traction": 0,
        "abs": 0,
        "scs": 0,
        "brakeBoost": 0,
        "auxBrakes": 0,
        "width": steps(told.width_m, SIZE_M, 0, 1023),
        "length": steps(told.length_m, SIZE_M, 0, 4095),
    }


def steps(value: float, step: float, low: int, high: int) -> int:
    return min(max(round(value / step), low), high)


def compass_deg(heading_rad: float) -> float:
    """Clockwise from north."""
    return (90.0 - math.degrees(heading_rad)) % 360.0


def heading_rad(compass: float) -> float:
    """In the world's frame, from -pi to pi."""
    return math.remainder(math.radians(90.0 - compass), math.tau)
