"""Where tracks are on the road: lane, direction, whom they follow. Both predictors stand on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import Floats, Ints, Kind

BESIDE_M: Final = 1.0
"""So far beside the road a vehicle still counts as on it."""
ALIGNED: Final = 0.85
"""Cosine of the greatest angle to the lane at which a vehicle is taken to follow it."""
MOVING_MPS: Final = 1.0
DRIFT_MPS: Final = 0.25
FREE_M: Final = 200.0
"""Gap to a leader that is not there."""
# enumerations are slow to read in what runs every tick
_VEHICLE, _CYCLIST = int(Kind.VEHICLE), int(Kind.CYCLIST)


@dataclass(frozen=True)
class Places:
    """One row per track."""

    s_N: Floats
    d_N: Floats
    along_N: Floats
    """+1 with s, -1 against it: as it moves, or as its lane goes."""
    bound_N: NDArray[np.bool_]
    """Follows a lane; the others are pedestrians, and whatever crosses or left the road."""
    speed_N: Floats
    forward_N: Floats
    """Speed along the road, positive in its own direction."""
    sideways_N: Floats
    """Speed to the road's left."""
    heading_N: Floats
    """Of the road there, in the track's direction."""
    curvature_N: Floats
    """Of the road, in the track's direction."""
    lane_d_N: Floats
    next_d_N: Floats
    """Centre of the lane beside it that it drifts or could change to; its own d where there is none."""
    gap_N: Floats
    """Metres from bumper to bumper to the next in its lane; FREE_M where there is none."""
    closing_N: Floats
    """m/s by which the gap shrinks."""


def place(mean_N4: Floats, size_N3: Floats, kind_N: Ints, road: Road) -> Places:
    s_N, d_N = road.to_road(mean_N4[:, :2]) if len(mean_N4) else (np.zeros(0), np.zeros(0))
    heading_N = road.heading(s_N)
    cos, sin = np.cos(heading_N), np.sin(heading_N)
    x, y = mean_N4[:, 2], mean_N4[:, 3]
    with_s, sideways, speed = x * cos + y * sin, y * cos - x * sin, np.hypot(x, y)
    lane = np.minimum(np.maximum(np.floor(d_N / road.lane_width_m), 0), road.lanes - 1)
    against = lane >= road.lanes - road.oncoming
    backward = np.where(speed > MOVING_MPS, ~(with_s >= 0), against)
    along = np.where(backward, -1.0, 1.0)
    on_road = (d_N > -BESIDE_M) & (d_N < road.width_m + BESIDE_M)
    drives = (kind_N == _VEHICLE) | (kind_N == _CYCLIST)
    bound = drives & on_road & ((speed <= MOVING_MPS) | (np.abs(with_s) >= ALIGNED * speed))
    forward, centre = with_s * along, (lane + 0.5) * road.lane_width_m
    gap, closing = _leaders(s_N * along, d_N, along, forward, size_N3, road.lane_width_m)
    return Places(
        s_N, d_N, along, bound, speed, forward, sideways, heading_N + np.where(backward, np.pi, 0.0),
        road.curvature(s_N) * along, centre, _beside(lane, against, d_N, centre, sideways, road), gap, closing,
    )  # fmt: skip


def _beside(
    lane_N: Floats, against_N: NDArray[np.bool_], d_N: Floats, centre_N: Floats, sideways_N: Floats, road: Road
) -> Floats:
    """The centre of the next lane of the same direction: on the side it drifts to, else on the left, else right."""
    split = road.lanes - road.oncoming
    first = np.where(against_N, split, 0)
    last = np.where(against_N, road.lanes - 1, split - 1)
    right = np.where(np.abs(sideways_N) <= DRIFT_MPS, d_N - centre_N < -0.3, sideways_N < -DRIFT_MPS)
    wanted = lane_N + np.where(right, -1, 1)
    wanted = np.where((wanted < first) | (wanted > last), 2 * lane_N - wanted, wanted)
    return np.where((wanted < first) | (wanted > last), d_N, (wanted + 0.5) * road.lane_width_m)


def _leaders(
    ahead_N: Floats, d_N: Floats, along_N: Floats, forward_N: Floats, size_N3: Floats, lane_width_m: float
) -> tuple[Floats, Floats]:
    if not len(ahead_N):
        return np.zeros(0), np.zeros(0)
    apart_NN = ahead_N[None] - ahead_N[:, None]
    gap_NN = apart_NN - (size_N3[None, :, 0] + size_N3[:, None, 0]) / 2
    same = (along_N[None] == along_N[:, None]) & (np.abs(d_N[None] - d_N[:, None]) < lane_width_m / 2)
    gap_NN = np.where(same & (apart_NN > 0.5), gap_NN, FREE_M)
    leader_N = gap_NN.argmin(axis=1)
    gap_N = np.clip(gap_NN[np.arange(len(gap_NN)), leader_N], 0.0, FREE_M)
    return gap_N, np.where(gap_N < FREE_M, forward_N - forward_N[leader_N], 0.0)
