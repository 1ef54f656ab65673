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
    away_N2 = rows.mean[:, :2] - ego_xy_2
    sight_N2 = away_N2 / np.maximum(np.hypot(away_N2[:, 0], away_N2[:, 1]), 1.0)[:, None]
    off_NN2 = rows.mean[None, :, :2] - rows.mean[:, None, :2]  # of the body, of what may be in it
    along_NN = np.abs((off_NN2 * sight_N2[:, None]).sum(axis=2))
    across_NN = np.abs(off_NN2[..., 1] * sight_N2[:, None, 0] - off_NN2[..., 0] * sight_N2[:, None, 1])
    half_N2 = rows.size[:, :2] / 2
    # seen from its end it is as wide as it is wide, from its side as it is long
    endwise_N = rows.depth > half_N2.mean(axis=1)
    broad_N = np.where(endwise_N, half_N2[:, 1], half_N2[:, 0])
    room_NN = np.where(
        vehicle_N[None], TWO_CARS * (rows.depth[:, None] + rows.depth[None]), rows.depth[:, None] - INSIDE_M
    )
    side_NN = np.where(vehicle_N[None], TWO_CARS * (broad_N[:, None] + broad_N[None]), broad_N[:, None] - INSIDE_M)
    slower_NN = np.hypot(*(rows.mean[None, :, 2:] - rows.mean[:, None, 2:]).transpose(2, 0, 1))
    inside_NN = (along_NN < room_NN) & (across_NN < side_NN) & (slower_NN < ALIKE_MPS) & vehicle_N[:, None]
    weight_N = rows.hits / (1.0 + np.exp(-rows.odds)) - 1e-9 * np.arange(many)  # of equals the older stays
    # of two vehicles the surer stays; of a vehicle and what lies in it, the vehicle, once it is one
    surer_NN = np.where(vehicle_N[None], weight_N[:, None] > weight_N[None], rows.hits[:, None] >= SETTLED_HITS)
    found: NDArray[np.bool_] = (inside_NN & surer_NN).any(axis=0)
    return found
