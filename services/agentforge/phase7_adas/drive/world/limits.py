"""What the ego's body can do. Planner and monitor may read these, as a maker's data sheet would tell them."""

from __future__ import annotations

from typing import Final

EGO_SIZE: Final = (4.6, 1.9, 1.5)
WHEELBASE_M: Final = 2.8

MIN_ACCEL_MPS2: Final = -9.0
MAX_ACCEL_MPS2: Final = 3.0
MAX_SPEED_MPS: Final = 45.0
MAX_CURVATURE_PER_M: Final = 0.18
MAX_STEER_RATE_RADPS: Final = 0.6

ACCEL_LAG_S: Final = 0.15
"""Time constant of brakes and motor."""
STEER_LAG_S: Final = 0.10

GRIP_MPS2: Final = 9.0
"""Of a dry road, all directions together."""
WET_PART: Final = 0.3
"""Part of the grip that the heaviest rain takes."""


def grip_mps2(rain: float) -> float:
    return GRIP_MPS2 * (1.0 - WET_PART * rain)
