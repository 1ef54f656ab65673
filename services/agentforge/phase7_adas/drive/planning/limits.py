"""Limits of body, road and law: which candidates are refused, and by which limit first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.planning.collision import HALF_LONG, HALF_WIDE
from agentforge.phase7_adas.drive.planning.lattice import Lattice
from agentforge.phase7_adas.drive.planning.settings import Settings
from agentforge.phase7_adas.drive.road import Road

Bools = NDArray[np.bool_]


def own_way_m(road: Road) -> float:
    """Width of the lanes in the ego's direction."""
    return (road.lanes - road.oncoming) * road.lane_width_m


def refusals(lattice: Lattice, road: Road, by: Settings) -> dict[str, Bools]:
    """By limit: which pairs (A, B) break it. From beyond a limit it must be possible to come back."""
    body, s = lattice.body, lattice.s
    shape = lattice.d_ABJ.shape[:2]
    bent = np.abs(body.curvature_CJ)
    side = bent * body.speed_CJ**2
    accel = (body.accel_CJ.max(axis=2) > by.most_accel_mps2 + 0.05) | (
        body.accel_CJ.min(axis=2) < -by.most_brake_mps2 - 0.5
    )
    sharp = side.max(axis=2) > np.maximum(by.most_side_mps2, side[..., 0] + 0.1)
    wide = HALF_WIDE + by.kerb_gap_m + HALF_LONG * np.abs(body.turn_CJ)
    out = np.maximum(wide - lattice.d_ABJ, lattice.d_ABJ + wide - own_way_m(road))
    law = road.speed_limit_mps + by.over_speed_mps
    tests = {
        "reverse": s.v_CJ.min(axis=1)[:, None] < -0.05,
        "acceleration": accel | sharp,
        "jerk": np.abs(s.j_CJ).max(axis=1)[:, None] > by.most_jerk_mps3,
        "curvature": bent.max(axis=2) > np.maximum(by.most_curvature_per_m, bent[..., 0] + 0.01),
        "road": out.max(axis=2) > np.maximum(out[..., 0], 0.0) + 0.02,
        "speed": body.speed_CJ.max(axis=2) > np.maximum(law, body.speed_CJ[..., 0] + 0.05),
    }
    return {name: np.asarray(np.broadcast_to(broken, shape)) for name, broken in tests.items()}
