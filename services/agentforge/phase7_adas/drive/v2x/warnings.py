"""When a vehicle warns: it brakes as in an emergency, or it stands. The thresholds are assumptions."""

from __future__ import annotations

from collections.abc import Iterator

from agentforge.phase7_adas.drive.v2x.denm import Cause
from agentforge.phase7_adas.drive.v2x.told import Told

BRAKING_MPS2, BRAKING_FROM_MPS = -4.0, 2.0
"""About 0.4 g, which is what is commonly called hard braking, and not merely the last metre of a stop."""
STANDS_MPS, STANDS_US = 0.1, 10_000_000
"""Shorter than a red light lasts, so stationary vehicles at lights warn, too: there are no lights here."""
BRAKING_HOLD_US = 1_000_000
"""An emergency brake is over when the vehicle has not braked so hard for this long."""
REPEAT_US = 500_000


class _Ongoing:
    __slots__ = ("detected_us", "number", "told_us", "true_us")

    def __init__(self, number: int, t_us: int) -> None:
        self.number = number
        self.detected_us = self.true_us = t_us
        self.told_us: int | None = None


class Warnings:
    def __init__(self) -> None:
        self._number = 0
        self._stands_since_us: int | None = None
        self._ongoing: dict[Cause, _Ongoing] = {}

    def due(self, told: Told) -> Iterator[tuple[Cause, int, int, bool]]:
        """What is to be told now: cause, number of the event, when it was detected, whether it is over."""
        for cause, holds, hold_us in (
            (Cause.EMERGENCY_BRAKING, _brakes(told), BRAKING_HOLD_US),
            (Cause.STATIONARY_VEHICLE, self._stands(told), 0),
        ):
            event = self._ongoing.get(cause)
            if event is None and holds:
                self._number += 1
                event = self._ongoing[cause] = _Ongoing(self._number, told.t_us)
            if event is None:
                continue
            if holds:
                event.true_us = told.t_us
            elif told.t_us - event.true_us >= hold_us:
                del self._ongoing[cause]
                yield cause, event.number, event.detected_us, True
                continue
            if event.told_us is None or told.t_us - event.told_us >= REPEAT_US:
                event.told_us = told.t_us
                yield cause, event.number, event.detected_us, False

    def _stands(self, told: Told) -> bool:
        if abs(told.speed_mps) > STANDS_MPS:
            self._stands_since_us = None
            return False
        if self._stands_since_us is None:
            self._stands_since_us = told.t_us
        return told.t_us - self._stands_since_us >= STANDS_US


def _brakes(told: Told) -> bool:
    return told.accel_mps2 <= BRAKING_MPS2 and told.speed_mps > BRAKING_FROM_MPS
