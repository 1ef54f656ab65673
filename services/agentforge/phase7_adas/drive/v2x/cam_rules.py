"""When a CAM is due: the triggering rules of ETSI EN 302 637-2, section 6.1.3, without congestion control."""

from __future__ import annotations

import math

from agentforge.phase7_adas.drive.v2x.told import Told

LEAST_US, MOST_US = 100_000, 1_000_000
HEADING_RAD, PLACE_M, SPEED_MPS = math.radians(4.0), 4.0, 0.5
HOLD = 3
"""CAMs in a row that the period of a lively vehicle is kept for after it has become calm."""
LOW_FREQUENCY_US = 500_000


class CamRules:
    def __init__(self) -> None:
        self._last: Told | None = None
        self._period_us = MOST_US
        self._calm = 0
        self._low_us: int | None = None

    def due(self, told: Told) -> bool:
        """Whether one is to be sent now; if so, it is taken as sent."""
        if self._last is None:
            self._last = told
            return True
        since_us = told.t_us - self._last.t_us
        if since_us < LEAST_US:
            return False
        if _moved(self._last, told):
            self._period_us, self._calm = min(since_us, MOST_US), 0
        elif since_us >= self._period_us:
            self._calm += 1
            if self._calm >= HOLD:
                self._period_us = MOST_US
        else:
            return False
        self._last = told
        return True

    def low_frequency(self, t_us: int) -> bool:
        """Whether the container that changes seldom goes along."""
        if self._low_us is not None and t_us - self._low_us < LOW_FREQUENCY_US:
            return False
        self._low_us = t_us
        return True


def _moved(last: Told, now: Told) -> bool:
    return (
        abs(math.remainder(now.heading_rad - last.heading_rad, math.tau)) > HEADING_RAD
        or math.hypot(now.x_m - last.x_m, now.y_m - last.y_m) > PLACE_M
        or abs(now.speed_mps - last.speed_mps) > SPEED_MPS
    )
