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
    body = lattice.body
    bent = np.abs(body.curvature)
    side = body.speed * body.speed
    side *= bent
    sharp = side.max(axis=1) > np.maximum(by.most_side_mps2, side[:, 0] + 0.1)
    hard = (body.accel.max(axis=1) > by.most_accel_mps2 + 0.05) | (
        body.accel.min(axis=1) < -by.most_brake_mps2 - 0.5
    )
    wide = np.abs(body.turn)
    wide *= HALF_LONG
    wide += HALF_WIDE + by.kerb_gap_m
    out = wide + lattice.d_BJA
    out -= own_way_m(road)
    wide -= lattice.d_BJA
    np.maximum(wide, out, out=out)
    law = road.speed_limit_mps + by.over_speed_mps
    none = np.zeros_like(hard)
    tests_BA = {
        "reverse": none | (lattice.v_JA.min(axis=0) < -0.05),
        "acceleration": hard | sharp,
        "jerk": none | (np.abs(lattice.jerk_JA).max(axis=0) > by.most_jerk_mps3),
        "curvature": bent.max(axis=1) > np.maximum(by.most_curvature_per_m, bent[:, 0] + 0.01),
        "road": out.max(axis=1) > np.maximum(out[:, 0], 0.0) + 0.02,
        "speed": body.speed.max(axis=1) > np.maximum(law, body.speed[:, 0] + 0.05),
    }
    return {name: broken.T for name, broken in tests_BA.items()}
