"""Steering that keeps to the nearest lane of the ego's way: all that a stop without a planner needs."""

from __future__ import annotations

from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import HEADING, SPEED, Floats, X, Y
from agentforge.phase7_adas.drive.world import limits

REACH_S, LEAST_REACH_M, DAMPING = 1.2, 6.0, 0.9
MOST_SIDE_MPS2: Final = 4.0


def keep_lane(road: Road, ego_6: Floats) -> float:
    """Curvature, 1/m."""
    s, d = road.to_road(ego_6[None, [X, Y]])
    own = road.lanes - road.oncoming
    lane = int(np.clip(np.floor(d[0] / road.lane_width_m), 0, own - 1))
    bend = float(road.curvature(s)[0])
    off = float(d[0]) - road.lane_centre_d(lane)
    turn = float(np.remainder(ego_6[HEADING] - road.heading(s)[0] + np.pi, 2 * np.pi) - np.pi)
    speed = float(ego_6[SPEED])
    reach = max(REACH_S * speed, LEAST_REACH_M)
    curvature = bend / max(1.0 - bend * float(d[0]), 0.2) - off / reach**2 - 2 * DAMPING * turn / reach
    most = min(limits.MAX_CURVATURE_PER_M, MOST_SIDE_MPS2 / max(speed, 1.0) ** 2)
    return float(min(max(curvature, -most), most))
