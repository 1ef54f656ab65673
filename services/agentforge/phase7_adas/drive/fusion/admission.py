"""Which readings may be believed at all: their stamps, their payload, and whether it is news."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.readings import GpsReading, ImuReading, Stamp
from agentforge.phase7_adas.drive.truth import Floats

PAST_US: Final = 500_000
"""Older readings than this are refused: beyond it the ego's history is not kept."""
FUTURE_US: Final = 2_000
"""A stamp may be ahead of the ego's clock by so much (jitter); more is a clock that is skewed."""
FROZEN: Final = 2
"""So many equal payloads in a row are a sensor that hangs: noise never repeats itself to the last bit."""
STAMPS: Final = 256
"""So many of a sensor's last stamps are remembered."""

# What no road vehicle's sensor says: specific force m/s2, rad/s, magnet, world metres, m/s, sigma in m.
IMU_LIMIT_9: Final[Floats] = np.array([80.0] * 3 + [15.0] * 3 + [2.0] * 3)
GPS_LIMIT_5: Final[Floats] = np.array([1e6, 1e6, 120.0, 120.0, 50.0])


@dataclass
class _Heard:
    """What came from one sensor lately."""

    taken: deque[int] = field(default_factory=deque)
    known: set[int] = field(default_factory=set)
    """The same as `taken`, to be looked up."""
    payload: Floats | None = None
    equal: int = 1

    def remember(self, taken_us: int) -> None:
        if len(self.taken) == STAMPS:
            self.known.remove(self.taken.popleft())
        self.taken.append(taken_us)
        self.known.add(taken_us)


class Admission:
    """Counts every refusal as `sensor/reason`; remembers the stamps of the window."""

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts
        self._heard: defaultdict[str, _Heard] = defaultdict(_Heard)
        self.frozen: set[str] = set()

    def imu(self, reading: ImuReading, t_us: int) -> Floats | None:
        """Nine numbers (accel, gyro, magnet), or None."""
        return self._admit("imu", reading, ("accel_3", "gyro_3", "magnet_3"), IMU_LIMIT_9, t_us)

    def gps(self, reading: GpsReading, t_us: int) -> Floats | None:
        """Five numbers (x, y, vx, vy, sigma), or None."""
        payload = self._admit("gps", reading, ("xy_2", "velocity_2", "sigma_m"), GPS_LIMIT_5, t_us)
        if payload is not None and payload[4] <= 0:
            self._refuse("gps", "garbage")
            return None
        return payload

    def _admit(
        self, sensor: str, reading: object, names: tuple[str, ...], limit: Floats, t_us: int
    ) -> Floats | None:
        stamp = getattr(reading, "stamp", None)
        if not isinstance(stamp, Stamp) or not isinstance(stamp.taken_us, int | np.integer):
            self._refuse(sensor, "garbage")
            return None
        heard = self._heard[sensor]
        if stamp.taken_us > t_us + FUTURE_US:
            self._refuse(sensor, "future")
            return None
        if stamp.taken_us < t_us - PAST_US:
            self._refuse(sensor, "too old")
            return None
        if stamp.taken_us in heard.known:
            self._refuse(sensor, "repeated")
            return None
        payload = _numbers(reading, names, limit)
        if payload is None:
            self._refuse(sensor, "garbage")
            return None
        same = heard.payload is not None and bool((payload == heard.payload).all())
        heard.equal = heard.equal + 1 if same else 1
        heard.payload = payload
        heard.remember(int(stamp.taken_us))
        if heard.equal >= FROZEN:
            self.frozen.add(sensor)
            self._refuse(sensor, "frozen")
            return None
        self.frozen.discard(sensor)
        self.counts[f"{sensor}/admitted"] += 1
        return payload

    def _refuse(self, sensor: str, reason: str) -> None:
        self.counts[f"{sensor}/{reason}"] += 1


def _numbers(reading: object, names: tuple[str, ...], limit: Floats) -> Floats | None:
    """The payload as one row; None where it is not what the type promises."""
    try:
        parts = [np.asarray(getattr(reading, name), dtype=np.float64).ravel() for name in names]
        row = np.concatenate(parts)
    except (AttributeError, TypeError, ValueError):
        return None
    good = len(row) == len(limit) and bool((np.abs(row) <= limit).all())  # NaN compares false
    return row if good else None
