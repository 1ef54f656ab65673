"""The world's metres and latitude/longitude: the tangent plane at a named origin, exact on the WGS 84 ellipsoid.

x is east and y north at the origin. Points are taken to lie on the ellipsoid; what the earth falls away beneath the
plane shortens distances by d³/6R²: 4 mm at 10 km. Away from the origin true north turns against y (about 0.05° for
5 km to the east at 48°), which headings here neglect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from agentforge.kit.errors import InvalidInput
from agentforge.phase7_adas.drive.truth import Floats

A_M = 6_378_137.0
FLATTENING = 1 / 298.257223563
E2 = FLATTENING * (2 - FLATTENING)
B_M = A_M * (1 - FLATTENING)
MOST_LATITUDE_DEG = 85.0


@dataclass(frozen=True)
class Origin:
    name: str
    latitude_deg: float
    longitude_deg: float

    def __post_init__(self) -> None:
        good = abs(self.latitude_deg) <= MOST_LATITUDE_DEG and abs(self.longitude_deg) <= 180.0
        if not good:  # also for NaN
            raise InvalidInput(
                f"origin {self.name!r} at {self.latitude_deg}, {self.longitude_deg} degrees",
                reason="ORIGIN_OUT_OF_RANGE",
                field="origin",
                next_step=f"Latitude within ±{MOST_LATITUDE_DEG:g} and longitude within ±180 degrees.",
            )

    def to_world(self, latitude_deg_N: Floats, longitude_deg_N: Floats) -> Floats:
        """Metres from the origin, (N, 2)."""
        centre_3, axes_33 = self._frame
        away_N3 = _ecef(np.radians(latitude_deg_N), np.radians(longitude_deg_N)) - centre_3
        return away_N3 @ axes_33[:2].T

    def to_degrees(self, xy_N2: Floats) -> tuple[Floats, Floats]:
        """Latitude and longitude, degrees."""
        centre_3, axes_33 = self._frame
        up_N = -(np.hypot(xy_N2[:, 0], xy_N2[:, 1]) ** 2) / (2 * A_M)
        for _ in range(2):  # each step leaves (d/R)² of the error in height
            points_N3 = centre_3 + np.column_stack([xy_N2, up_N]) @ axes_33
            latitude_N, longitude_N, height_N = _geodetic(points_N3)
            up_N = up_N - height_N
        return np.degrees(latitude_N), np.degrees(longitude_N)

    @cached_property
    def _frame(self) -> tuple[Floats, Floats]:
        """The origin in earth-centred metres, and the unit vectors east, north and up there."""
        latitude, longitude = math.radians(self.latitude_deg), math.radians(self.longitude_deg)
        sin_b, cos_b, sin_l, cos_l = (
            math.sin(latitude),
            math.cos(latitude),
            math.sin(longitude),
            math.cos(longitude),
        )
        axes = np.array(
            [[-sin_l, cos_l, 0.0], [-sin_b * cos_l, -sin_b * sin_l, cos_b], [cos_b * cos_l, cos_b * sin_l, sin_b]]
        )
        return _ecef(np.array([latitude]), np.array([longitude]))[0], axes


FIELD = Origin("test field", 48.0, 11.0)
"""Where generated worlds lie; any place would do."""


def _ecef(latitude_N: Floats, longitude_N: Floats) -> Floats:
    sin = np.sin(latitude_N)
    across = A_M / np.sqrt(1 - E2 * sin**2)
    flat = across * np.cos(latitude_N)
    return np.column_stack([flat * np.cos(longitude_N), flat * np.sin(longitude_N), across * (1 - E2) * sin])


def _geodetic(points_N3: Floats) -> tuple[Floats, Floats, Floats]:
    """Bowring's formula: near the surface exact to less than a micrometre."""
    x, y, z = points_N3.T
    flat = np.hypot(x, y)
    theta = np.arctan2(z * A_M, flat * B_M)
    second = (A_M**2 - B_M**2) / B_M
    latitude = np.arctan2(z + second * np.sin(theta) ** 3, flat - E2 * A_M * np.cos(theta) ** 3)
    across = A_M / np.sqrt(1 - E2 * np.sin(latitude) ** 2)
    height = flat * np.cos(latitude) + z * np.sin(latitude) - A_M**2 / across
    return latitude, np.arctan2(y, x), height
