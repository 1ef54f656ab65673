"""Tracks of what another track is of already: two bodies cannot be in one place and go the same way."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.truth import Floats, Ints, Kind

ALIKE_MPS: Final = 3.0
INSIDE_M: Final = 0.1
"""So far inside of a body's sides: somebody who stands before a car is not in it."""
SETTLED_HITS: Final = 8
TWO_CARS: Final = 0.7
"""Of two vehicles' half sizes together: with their middles nearer, they are one."""


class Bodies(Protocol):
    mean: Floats
    size: Floats
    depth: Floats
    odds: Floats
    hits: Ints
    confirmed: Ints

    @property
    def kind(self) -> Ints: ...


def doubles(rows: Bodies, ego_xy_2: Floats) -> NDArray[np.bool_]:
    """Those that lie in the body of a confirmed vehicle and go as it goes."""
    many = len(rows.odds)
    if many < 2:
        return np.zeros(many, dtype=bool)
    vehicle_N = (rows.kind == Kind.VEHICLE) & (rows.confirmed > 0)
    # of two vehicles the surer stays; of a vehicle and what lies in it, the vehicle, once it is one
    weight_N = rows.hits / (1.0 + np.exp(-rows.odds)) - 1e-9 * np.arange(many)  # of equals the older stays
    surer_NN = np.where(vehicle_N, weight_N[:, None] > weight_N, (rows.hits >= SETTLED_HITS)[:, None])
    found = np.zeros(many, dtype=bool)
    body, other = (surer_NN & vehicle_N[:, None]).nonzero()
    if len(body):
        found[other[_inside(rows, body, other, vehicle_N, ego_xy_2)]] = True
    return found


def _inside(
    rows: Bodies, body_P: Ints, other_P: Ints, vehicle_N: NDArray[np.bool_], ego_xy_2: Floats
) -> NDArray[np.bool_]:
    """Of pairs of rows: whether the other lies in the body and goes as it goes."""
    away_N2 = rows.mean[:, :2] - ego_xy_2
    sight_N2 = away_N2 / np.maximum(np.hypot(away_N2[:, 0], away_N2[:, 1]), 1.0)[:, None]
    off_P4 = rows.mean.take(other_P, axis=0) - rows.mean.take(body_P, axis=0)
    x_P, y_P, vx_P, vy_P = off_P4.T
    sight_x_P, sight_y_P = sight_N2.take(body_P, axis=0).T
    along_P = np.abs(x_P * sight_x_P + y_P * sight_y_P)
    across_P = np.abs(y_P * sight_x_P - x_P * sight_y_P)
    half_N2 = rows.size[:, :2] / 2
    # seen from its end it is as wide as it is wide, from its side as it is long
    endwise_N = rows.depth > (half_N2[:, 0] + half_N2[:, 1]) / 2
    broad_N = np.where(endwise_N, half_N2[:, 1], half_N2[:, 0])
    vehicle_P, deep_P, broad_P = vehicle_N[other_P], rows.depth[body_P], broad_N[body_P]
    room_P = np.where(vehicle_P, TWO_CARS * (deep_P + rows.depth[other_P]), deep_P - INSIDE_M)
    side_P = np.where(vehicle_P, TWO_CARS * (broad_P + broad_N[other_P]), broad_P - INSIDE_M)
    inside_P: NDArray[np.bool_] = (along_P < room_P) & (across_P < side_P) & (np.hypot(vx_P, vy_P) < ALIKE_MPS)
    return inside_P
