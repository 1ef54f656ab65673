"""Whether a track should have been detected: inside the view, not too far, and with nothing in front of it. And
which are cut by the view's edge: of a body that is passed, only the far end is seen, and told as if it were all."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.sensors.spec import SPECS
from agentforge.phase7_adas.drive.truth import HEADING, LENGTH, WIDTH, Floats, Ints, Kind, to_ego

HALF_VIEW_RAD: Final = max(SPECS.radar.field_of_view_rad, SPECS.lidar.field_of_view_rad) / 2 - math.radians(3.0)
FAR_BY_KIND_M: Final[Floats] = np.array([120.0, 60.0, 50.0, 60.0])
"""By Kind: beyond it a detection is luck."""
EDGE_RAD: Final = max(SPECS.radar.field_of_view_rad, SPECS.lidar.field_of_view_rad) / 2
BESIDE_M: Final = 1.0
"""Nearer to the ego's own line, it is ahead."""
CUT_ALONG_M, CUT_ACROSS_M = 2.0, 0.7
"""What the place of such a detection is wrong by."""
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


def cut_doubt(xy_N2: Floats, size_N3: Floats, kind_N: Ints, ego_6: Floats) -> Floats:
    """What to add to the covariance of a vehicle's detection, (N, 2, 2): nothing but for those whose near end lies
    beyond the edge."""
    near_N, _ = _ends(xy_N2, size_N3, ego_6)
    cut_N = (kind_N == int(Kind.VEHICLE)) & (near_N > EDGE_RAD)
    along_2 = np.array([math.cos(ego_6[HEADING]), math.sin(ego_6[HEADING])])
    along_22 = np.outer(along_2, along_2)
    doubt_22 = CUT_ALONG_M**2 * along_22 + CUT_ACROSS_M**2 * (np.eye(2) - along_22)
    doubt_N22: Floats = cut_N[:, None, None] * doubt_22
    return doubt_N22


def passed(xy_N2: Floats, size_N3: Floats, kind_N: Ints, ego_6: Floats) -> NDArray[np.bool_]:
    """Vehicles that lie beyond the edge with all of their length: nothing that is seen is of them."""
    _, far_N = _ends(xy_N2, size_N3, ego_6)
    found: NDArray[np.bool_] = (kind_N == int(Kind.VEHICLE)) & (far_N > EDGE_RAD)
    return found


def _ends(xy_N2: Floats, size_N3: Floats, ego_6: Floats) -> tuple[Floats, Floats]:
    """How far from ahead the near and the far end are seen, rad, of bodies along the ego's way; 0 if in its way."""
    here_N2 = to_ego(xy_N2, ego_6)
    aside_N, half_N = np.abs(here_N2[:, 1]) - size_N3[:, WIDTH] / 2, size_N3[:, LENGTH] / 2
    beside_N = np.abs(here_N2[:, 1]) > BESIDE_M
    near_N, far_N = (
        np.arctan2(np.maximum(aside_N, 0.0), here_N2[:, 0] + way * half_N) * beside_N for way in (-1.0, 1.0)
    )
    return near_N, far_N
