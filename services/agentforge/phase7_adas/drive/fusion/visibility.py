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
VEHICLE: Final = int(Kind.VEHICLE)


def visible(
    xy_N2: Floats, size_N3: Floats, kind_N: Ints, ego_6: Floats, here_N2: Floats | None = None
) -> NDArray[np.bool_]:
    """Where a miss counts; elsewhere it says nothing. `here_N2`: the places in the ego's frame, from whom knows
    them already."""
    x_N, y_N = (to_ego(xy_N2, ego_6) if here_N2 is None else here_N2).T
    range_N = np.maximum(np.hypot(x_N, y_N), 0.1)
    azimuth_N = np.arctan2(y_N, x_N)
    inside_N = (np.abs(azimuth_N) < HALF_VIEW_RAD) & (range_N < FAR_BY_KIND_M.take(kind_N))
    length_N, width_N = size_N3[:, LENGTH], size_N3[:, WIDTH]
    half_N = np.where(kind_N == VEHICLE, (length_N + width_N) / 2, np.minimum(length_N, width_N)) / 2
    covers_N = np.arctan2(half_N, range_N)
    apart_NN = np.abs((azimuth_N[:, None] - azimuth_N + math.pi) % (2 * math.pi) - math.pi)
    nearer_NN = range_N + half_N + HIDDEN_MARGIN_M < range_N[:, None]
    hidden_N = (nearer_NN & (apart_NN < covers_N)).any(axis=1)
    seen: NDArray[np.bool_] = inside_N & ~hidden_N
    return seen


def edge_doubt(ego_6: Floats) -> Floats:
    """What to add to the covariance of the detection of a vehicle whose near end lies beyond the edge, (2, 2)."""
    along_2 = np.array([math.cos(ego_6[HEADING]), math.sin(ego_6[HEADING])])
    along_22 = np.outer(along_2, along_2)
    doubt_22: Floats = CUT_ALONG_M**2 * along_22 + CUT_ACROSS_M**2 * (np.eye(2) - along_22)
    return doubt_22


def at_edge(here_N2: Floats, size_N3: Floats, kind_N: Ints) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Vehicles along the ego's way and not in it, by their places in its frame: those whose near end lies beyond
    the edge, and those that do with all of their length: nothing that is seen is of them."""
    x_N, aside_N = here_N2[:, 0], np.abs(here_N2[:, 1])
    half_N, beyond_N = size_N3[:, LENGTH] / 2, np.maximum(aside_N - size_N3[:, WIDTH] / 2, 0.0)
    beside_N = (kind_N == VEHICLE) & (aside_N > BESIDE_M)
    near_N, far_N = np.arctan2(beyond_N, x_N - half_N), np.arctan2(beyond_N, x_N + half_N)
    return beside_N & (near_N > EDGE_RAD), beside_N & (far_N > EDGE_RAD)
