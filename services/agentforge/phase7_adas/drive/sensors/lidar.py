"""The front lidar: one ray per channel and azimuth, against boxes and the flat ground; a sweep is one instant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.sensors.geometry import View, rays, view
from agentforge.phase7_adas.drive.sensors.noise import line
from agentforge.phase7_adas.drive.sensors.spec import LidarSpec
from agentforge.phase7_adas.drive.truth import HEIGHT, Floats, Kind, Truth, Weather

REFLECTS = {Kind.VEHICLE: 0.5, Kind.CYCLIST: 0.35, Kind.PEDESTRIAN: 0.3, Kind.OBSTACLE: 0.2}
GROUND_REFLECTS = 0.15
FURTHEST_GROUND_M = 60.0  # rays this flat never come back


class Lidar:
    def __init__(self, spec: LidarSpec) -> None:
        self.spec = spec
        azimuths, elevations = spec.azimuths_A, spec.elevations_C
        self._azimuths = azimuths
        self._slope = np.tan(elevations)
        self._slant = 1.0 / np.cos(elevations)
        with np.errstate(divide="ignore"):
            ground = np.where(self._slope < 0, -spec.mount_z_m / self._slope, np.inf)
        ground[ground > FURTHEST_GROUND_M] = np.inf
        self._ground = np.tile(ground, len(azimuths))  # metres on the plan, by azimuth x channel
        self._ground_reflects = (
            GROUND_REFLECTS * spec.mount_z_m / (self._ground * np.tile(self._slant, len(azimuths)))
        )
        self._reflects = np.array([REFLECTS[kind] for kind in Kind])

    def take(self, truth: Truth, rng: np.random.Generator, noise: float = 1.0) -> Floats:
        spec, channels = self.spec, len(self._slope)
        flat, reflects = self._ground.copy(), self._ground_reflects.copy()
        seen = view(truth, spec.mount_x_m, spec.range_m * 1.3)
        self._cast(seen, flat, reflects)
        extinction = extinction_per_m(truth.weather)
        ray = np.nonzero(np.isfinite(flat))[0]
        clutter, clutter_far = self._clutter(truth.weather, flat, rng)
        slant = flat[ray] * self._slant[ray % channels]
        through = np.exp(-2.0 * extinction * slant)
        signal = reflects[ray] * 10.0 * (spec.range_m / slant) ** 2 * through
        back = np.nonzero(signal * np.exp(0.5 * line(len(ray), rng)) > 1.0)[0]
        ray, slant = ray[back], slant[back] + noise * spec.range_sigma_m * line(len(back), rng)
        strength = np.minimum(reflects[ray] * through[back], 1.0)
        ray = np.concatenate([ray, clutter])
        slant = np.concatenate([slant, clutter_far])
        strength = np.concatenate([strength, np.full(len(clutter), 0.03)])
        channel = ray % channels
        plan, azimuth = slant / self._slant[channel], self._azimuths[ray // channels]
        points = np.empty((len(ray), 4))
        points[:, 0] = spec.mount_x_m + plan * np.cos(azimuth)
        points[:, 1] = plan * np.sin(azimuth)
        points[:, 2] = spec.mount_z_m + plan * self._slope[channel]
        points[:, 3] = strength
        return points

    def _cast(self, seen: View, flat: Floats, reflects: Floats) -> None:
        """Write what stands before the ground: side walls, and tops of what is lower than the sensor."""
        if len(seen) == 0:
            return
        near, far = rays(seen, self._azimuths)
        body, azimuth = np.nonzero(np.isfinite(near) & (near > 0.0))
        order = np.argsort(-near[body, azimuth], kind="stable")  # what is nearer is written later
        body, azimuth = body[order], azimuth[order]
        enter, leave = near[body, azimuth][:, None], far[body, azimuth][:, None]
        high, mount = seen.size_N3[body, HEIGHT][:, None], self.spec.mount_z_m
        z_enter, z_leave = mount + enter * self._slope, mount + leave * self._slope
        wall = (z_enter >= 0.0) & (z_enter <= high)
        top = (z_enter > high) & (z_leave < high)
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.where(wall, enter, (high - mount) / self._slope)
        pair, channel = np.nonzero(wall | top)
        ray = azimuth[pair] * len(self._slope) + channel
        flat[ray] = distance[pair, channel]
        reflects[ray] = self._reflects[seen.kind_N[body[pair]]]

    def _clutter(self, weather: Weather, flat: Floats, rng: np.random.Generator) -> tuple[NDArray[np.intp], Floats]:
        """Drops near the sensor that send light back."""
        many = int(rng.poisson(200.0 * weather.fog + 60.0 * weather.rain))
        ray = rng.integers(0, len(flat), many)
        far = 1.0 + rng.exponential(4.0, many)
        free = far < flat[ray]
        return ray[free], far[free]


def extinction_per_m(weather: Weather) -> float:
    return 0.0005 + 0.05 * weather.fog + 0.006 * weather.rain
