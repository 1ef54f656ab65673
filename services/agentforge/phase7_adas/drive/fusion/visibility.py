"""Whether a track should have been detected: inside the view, not too far, and with nothing in front of it."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.sensors.spec import SPECS
from agentforge.phase7_adas.drive.truth import Floats, Ints, Kind, to_ego

HALF_VIEW_RAD: Final = max(SPECS.radar.field_of_view_rad, SPECS.lidar.field_of_view_rad) / 2 - math.radians(3.0)
FAR_BY_KIND_M: Final[Floats] = np.array([120.0, 60.0, 50.0, 60.0])
"""By Kind: beyond it a detection is luck."""
HIDDEN_MARGIN_M: Final = 1.0


def visible(xy_N2: Floats, size_N3: Floats, kind_N: Ints, ego_6: Floats) -> NDArray[np.bool_]:
    """Where a miss counts; elsewhere it says nothing."""
    here_N2 = to_ego(xy_N2, ego_6)
    range_N = np.maximum(np.hypot(here_N2[:, 0], here_N2[:, 1]), 0.1)
    azimuth_N = np.arctan2(here_N2[:, 1], here_N2[:, 0])
    inside_N = (np.abs(azimuth_N) < HALF_VIEW_RAD) & (range_N < FAR_BY_KIND_M[kind_N])
    half_N = np.where(kind_N == int(Kind.VEHICLE), size_N3[:, :2].mean(1), size_N3[:, :2].min(1)) / 2
    covers_N = np.arctan2(half_N, range_N)
    apart_NN = np.abs((azimuth_N[:, None] - azimuth_N[None] + math.pi) % (2 * math.pi) - math.pi)
    nearer_NN = range_N[None] + half_N[None] + HIDDEN_MARGIN_M < range_N[:, None]
    hidden_N = (nearer_NN & (apart_NN < covers_N[None])).any(axis=1)
    seen: NDArray[np.bool_] = inside_N & ~hidden_N
    return seen
