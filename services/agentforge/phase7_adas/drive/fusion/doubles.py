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
SHORTEST_SIGHT_M: Final = 1.0
"""From the ego to a body: nearer, the direction means nothing."""
VEHICLE: Final = int(Kind.VEHICLE)


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
    found = np.zeros(many, dtype=bool)
    vehicle_N = (rows.kind == VEHICLE) & (rows.confirmed > 0)
    if many < 2 or not np.count_nonzero(vehicle_N):
        return found
    # of two vehicles the surer stays; of a vehicle and what lies in it, the vehicle, once it is one
    weight_N = rows.hits / (1.0 + np.exp(-rows.odds)) - 1e-9 * np.arange(many)  # of equals the older stays
    surer_NN = np.where(vehicle_N, weight_N[:, None] > weight_N, (rows.hits >= SETTLED_HITS)[:, None])
    body, other = (surer_NN & vehicle_N[:, None]).nonzero()
    away_N2 = rows.mean[:, :2] - ego_xy_2
    range_N = np.hypot(away_N2[:, 0], away_N2[:, 1])
    near = _near(rows, body, other, range_N)
    if len(near):
        body, other = body.take(near), other.take(near)
        sight_N2 = away_N2 / np.maximum(range_N, SHORTEST_SIGHT_M)[:, None]
        found[other[_inside(rows, body, other, vehicle_N, sight_N2)]] = True
    return found


def _near(rows: Bodies, body_P: Ints, other_P: Ints, range_N: Floats) -> Ints:
    """Pairs that go alike and are not too far apart, whatever the line of sight: most are, and need no more."""
    reach_N = rows.depth + (rows.size[:, 0] + rows.size[:, 1]) / 2
    reach_N[range_N < SHORTEST_SIGHT_M] = np.inf  # along a line of sight that is cut short, all is near
    x_P, y_P, vx_P, vy_P = (rows.mean.take(other_P, axis=0) - rows.mean.take(body_P, axis=0)).T
    reach_P = reach_N.take(body_P) + reach_N.take(other_P)
    near_P: Ints = ((np.hypot(vx_P, vy_P) < ALIKE_MPS) & (np.hypot(x_P, y_P) < reach_P)).nonzero()[0]
    return near_P


def _inside(
    rows: Bodies, body_P: Ints, other_P: Ints, vehicle_N: NDArray[np.bool_], sight_N2: Floats
) -> NDArray[np.bool_]:
    """Of pairs of rows that go alike: whether the other lies in the body. `sight_N2`: unit vectors from the ego."""
    x_P, y_P, _, _ = (rows.mean.take(other_P, axis=0) - rows.mean.take(body_P, axis=0)).T
    sight_x_P, sight_y_P = sight_N2.take(body_P, axis=0).T
    along_P = np.abs(x_P * sight_x_P + y_P * sight_y_P)
    across_P = np.abs(y_P * sight_x_P - x_P * sight_y_P)
    half_N2 = rows.size[:, :2] / 2
    # seen from its end it is as wide as it is wide, from its side as it is long
    endwise_N = rows.depth > (half_N2[:, 0] + half_N2[:, 1]) / 2
    broad_N = np.where(endwise_N, half_N2[:, 1], half_N2[:, 0])
    vehicle_P, deep_P, broad_P = vehicle_N.take(other_P), rows.depth.take(body_P), broad_N.take(body_P)
    room_P = np.where(vehicle_P, TWO_CARS * (deep_P + rows.depth.take(other_P)), deep_P - INSIDE_M)
    side_P = np.where(vehicle_P, TWO_CARS * (broad_P + broad_N.take(other_P)), broad_P - INSIDE_M)
    inside_P: NDArray[np.bool_] = (along_P < room_P) & (across_P < side_P)
    return inside_P
