"""What arrived since the last tick, by sensor, in memory that is given out once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.readings import (
    CameraReading,
    GpsReading,
    ImuReading,
    LidarReading,
    RadarReading,
    Reading,
)

FRAMES = 2
"""Camera frames held: one that is being looked at, one that arrives."""


class Inbox:
    """Of camera, radar and lidar only the newest counts; of IMU and GPS each does.

    Frames are copied into memory of the inbox: a driver may use its own again at once.
    """

    def __init__(self, image_hw: tuple[int, int]) -> None:
        self._frames: NDArray[np.uint8] = np.zeros((FRAMES, *image_hw), dtype=np.uint8)
        self._next = 0
        self.arrived_us: dict[str, int] = {}
        self.taken_us: dict[str, int] = {}
        self.changed_us: dict[str, int] = {}
        """When a payload last came that was not the one before."""
        self._payloads: dict[str, tuple[NDArray[Any], ...]] = {}
        self._camera: CameraReading | None = None
        self._radar: RadarReading | None = None
        self._lidar: LidarReading | None = None
        self._imu: list[ImuReading] = []
        self._gps: list[GpsReading] = []

    def put(self, readings: Iterable[Reading]) -> list[CameraReading | LidarReading]:
        """Those of them, as they are held, that much can be made of before the next tick."""
        looked_at: list[CameraReading | LidarReading] = []
        for one in readings:
            self.arrived_us[one.stamp.sensor] = one.stamp.arrived_us
            self.taken_us[one.stamp.sensor] = one.stamp.taken_us
            self._compare(one)
            match one:
                case CameraReading():
                    self._camera = self._held(one)
                    looked_at.append(self._camera)
                case RadarReading():
                    self._radar = one
                case LidarReading():
                    self._lidar = one
                    looked_at.append(one)
                case ImuReading():
                    self._imu.append(one)
                case GpsReading():
                    self._gps.append(one)
        return looked_at

    def _compare(self, one: Reading) -> None:
        """Noise makes two readings of a working sensor differ; where nothing is seen, nothing can repeat."""
        payload = _payload(one)
        before = self._payloads.get(one.stamp.sensor)
        empty = not any(each.size for each in payload)
        if before is None or empty or not all(map(np.array_equal, payload, before)):
            self.changed_us[one.stamp.sensor] = one.stamp.arrived_us
            self._payloads[one.stamp.sensor] = tuple(each.copy() for each in payload)

    def _held(self, one: CameraReading) -> CameraReading:
        frame = self._frames[self._next]
        if one.image_HW.shape != frame.shape or one.image_HW.dtype != frame.dtype:
            return one  # garbage: perception refuses and counts it
        np.copyto(frame, one.image_HW)
        self._next = (self._next + 1) % FRAMES
        return CameraReading(one.stamp, frame)

    def motion(self) -> tuple[tuple[ImuReading, ...], tuple[GpsReading, ...]]:
        """Once: they are gone then."""
        taken = tuple(self._imu), tuple(self._gps)
        self._imu, self._gps = [], []
        return taken

    def sight(self) -> tuple[CameraReading | None, RadarReading | None, LidarReading | None]:
        """Once: they are gone then."""
        taken = self._camera, self._radar, self._lidar
        self._camera = self._radar = self._lidar = None
        return taken


def _payload(one: Reading) -> tuple[NDArray[Any], ...]:
    match one:
        case CameraReading():
            return (one.image_HW,)
        case RadarReading():
            return (one.returns_N4,)
        case LidarReading():
            return (one.points_N4,)
        case ImuReading():
            return one.accel_3, one.gyro_3
        case GpsReading():
            return one.xy_2, one.velocity_2
