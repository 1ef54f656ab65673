"""The seeds' sensors as data: what each can see, how often, how late and how wrong.

`claimed_integrity` is the seeds' claim about the part; nothing here shows it. Numbers that the seeds do not give
(latency, noise, field of view, mounting) are ours, of the size that data sheets of such parts tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from agentforge.phase7_adas.drive.truth import Floats


@dataclass(frozen=True, kw_only=True)
class SensorSpec:
    name: str
    period_us: int
    latency_us: int
    jitter_us: int
    """Arrival is uniformly up to this much later than the latency."""
    dropout: float
    """Part of the readings that never arrive, without any injected fault."""
    claimed_integrity: str
    mount_x_m: float = 0.0
    """Ahead of the centre of the ego's box."""
    mount_z_m: float = 0.0


@dataclass(frozen=True, kw_only=True)
class CameraSpec(SensorSpec):
    name: str = "camera"
    period_us: int = 33_333
    latency_us: int = 30_000
    jitter_us: int = 4_000
    dropout: float = 0.001
    claimed_integrity: str = "ASIL-D"
    mount_x_m: float = 0.6
    mount_z_m: float = 1.4
    width_px: int = 1920
    height_px: int = 1080
    binning: int = 4
    """A reading's pixel is the mean of binning x binning of the sensor's."""
    field_of_view_rad: float = math.radians(52.0)
    range_m: float = 150.0
    noise_levels: float = 12.0
    """Standard deviation of one sensor pixel, of 255; binning divides it."""

    @property
    def shape(self) -> tuple[int, int]:
        return self.height_px // self.binning, self.width_px // self.binning

    @property
    def focal_px(self) -> float:
        """In binned pixels; the optical axis is level and straight ahead, through the image's middle."""
        return self.width_px / 2 / math.tan(self.field_of_view_rad / 2) / self.binning


@dataclass(frozen=True, kw_only=True)
class RadarSpec(SensorSpec):
    name: str = "radar"
    period_us: int = 50_000
    latency_us: int = 25_000
    jitter_us: int = 3_000
    dropout: float = 0.001
    claimed_integrity: str = "ASIL-D"
    mount_x_m: float = 2.1
    mount_z_m: float = 0.5
    carrier_hz: float = 77e9
    field_of_view_rad: float = math.radians(100.0)
    range_m: float = 200.0
    range_sigma_m: float = 0.05  # the seeds' +-0.1 m, read as two standard deviations
    azimuth_sigma_rad: float = math.radians(0.35)
    rate_sigma_mps: float = 0.1
    range_cell_m: float = 0.6
    azimuth_cell_rad: float = math.radians(2.0)
    rate_cell_mps: float = 0.25
    """Echoes within one cell of range, azimuth and range rate are one return."""
    threshold_db: float = 13.0
    clutter_per_scan: float = 1.5


@dataclass(frozen=True, kw_only=True)
class LidarSpec(SensorSpec):
    name: str = "lidar"
    period_us: int = 50_000
    latency_us: int = 35_000
    jitter_us: int = 3_000
    dropout: float = 0.001
    claimed_integrity: str = "ASIL-C"
    mount_x_m: float = 1.0
    mount_z_m: float = 1.7
    channels: int = 64
    azimuth_step_rad: float = math.radians(0.4)
    field_of_view_rad: float = math.radians(120.0)
    range_m: float = 100.0
    """At which a tenth of the light returned is just enough."""
    range_sigma_m: float = 0.02

    @property
    def azimuths_A(self) -> Floats:
        half = self.field_of_view_rad / 2
        return np.arange(-half, half + 1e-9, self.azimuth_step_rad)

    @property
    def elevations_C(self) -> Floats:
        """Half of the channels look near the horizon, where far bodies are."""
        many = self.channels // 2
        far = np.linspace(-4.0, 2.0, many, endpoint=False)
        near = np.linspace(-20.0, -4.0, self.channels - many, endpoint=False)
        made: Floats = np.radians(np.concatenate([near, far]))
        return made


@dataclass(frozen=True, kw_only=True)
class ImuSpec(SensorSpec):
    name: str = "imu"
    period_us: int = 10_000
    latency_us: int = 1_000
    jitter_us: int = 0
    dropout: float = 0.0
    claimed_integrity: str = "ASIL-D"
    accel_sigma_mps2: float = 0.05
    accel_bias_mps2: float = 0.05
    gyro_sigma_radps: float = 0.002
    gyro_bias_radps: float = 0.002
    magnet_sigma: float = 0.03
    bias_time_s: float = 300.0
    """Biases wander about zero with this time constant."""


@dataclass(frozen=True, kw_only=True)
class GpsSpec(SensorSpec):
    name: str = "gps"
    period_us: int = 200_000
    latency_us: int = 60_000
    jitter_us: int = 20_000
    dropout: float = 0.005
    claimed_integrity: str = "ASIL-B"
    noise_sigma_m: float = 0.4
    bias_sigma_m: float = 0.9
    """Both together give the seeds' +-1 m, read as one standard deviation per axis."""
    bias_time_s: float = 60.0
    velocity_sigma_mps: float = 0.1
    claimed_sigma_m: float = 1.0


@dataclass(frozen=True)
class Specs:
    camera: CameraSpec = field(default_factory=CameraSpec)
    radar: RadarSpec = field(default_factory=RadarSpec)
    lidar: LidarSpec = field(default_factory=LidarSpec)
    imu: ImuSpec = field(default_factory=ImuSpec)
    gps: GpsSpec = field(default_factory=GpsSpec)

    def all(self) -> tuple[SensorSpec, ...]:
        return self.camera, self.radar, self.lidar, self.imu, self.gps


SPECS = Specs()
