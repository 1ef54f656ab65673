"""Faults that a scenario puts in, so that it can be shown what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

FOR_EVER_US = 2**62


class FaultKind(StrEnum):
    """`amount` of InjectedFault means what stands behind each."""

    DROPOUT = "dropout"  # part of the readings that never arrive, 0 to 1
    FREEZE = "freeze"  # the last payload again and again, with fresh stamps; amount unused
    STALE = "stale"  # the last reading again, with its old stamp; amount unused
    DELAY = "delay"  # seconds that readings arrive later
    SKEW = "skew"  # seconds that the sensor's clock is ahead
    NOISE = "noise"  # factor on the noise
    BLIND = "blind"  # part of the field of view that is covered, 0 to 1 (camera, lidar)
    GHOST = "ghost"  # metres ahead at which a target appears that is not there (radar, lidar)
    MISS = "miss"  # part of true targets that give no return, 0 to 1 (radar, lidar)
    JUMP = "jump"  # metres that positions are off (GPS)
    BIAS = "bias"  # added to yaw rate in rad/s (IMU), to range in m (radar)
    GARBAGE = "garbage"  # NaN, infinities, wrong shapes; amount unused
    OVERRUN = "overrun"  # ms that a stage takes longer; `where` is the stage
    CRASH = "crash"  # a stage raises; `where` is the stage
    SPOOF = "spoof"  # a V2X station that tells of a car that is not there, metres ahead


@dataclass(frozen=True)
class InjectedFault:
    kind: FaultKind
    where: str
    """camera, radar, lidar, imu, gps, v2x, or a stage: fusion, perception, prediction, planning."""
    amount: float = 1.0
    from_us: int = 0
    until_us: int = FOR_EVER_US

    def acts(self, t_us: int) -> bool:
        return self.from_us <= t_us < self.until_us
