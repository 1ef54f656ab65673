"""How fast could be driven where: the law, bends, places of caution; and what each lane allows."""

from __future__ import annotations

import numpy as np

from agentforge.phase7_adas.drive.planning.collision import HALF_LONG, HALF_WIDE
from agentforge.phase7_adas.drive.planning.lattice import Lead
from agentforge.phase7_adas.drive.planning.line import Line
from agentforge.phase7_adas.drive.planning.obstacles import Obstacles
from agentforge.phase7_adas.drive.planning.settings import Settings
from agentforge.phase7_adas.drive.truth import Floats, Kind

STEP_M, AHEAD_M = 2.0, 140.0
LANE_AHEAD_M, LANE_AHEAD_S = 110.0, 8.0
STANDS_MPS = 0.7
WALKER_ASIDE_M, PARKED_ASIDE_M = 5.5, 3.2
"""From the middle of the ego's lane."""
WALKERS = (float(Kind.PEDESTRIAN), float(Kind.CYCLIST))
_PLACES = np.arange(0.0, AHEAD_M, STEP_M)


def envelope(
    line: Line, ego_s: float, ego_mps: float, lane_d: float, around: Obstacles, by: Settings
) -> tuple[Floats, Floats]:
    """Places ahead and the speed that could be driven there, such that comfortable braking keeps it further on.

    What turns up near never asks for more than `firm_mps2`: these are wishes, not what must not be hit.
    """
    s = ego_s - 20.0 + _PLACES
    bend = line.curvature(s)
    bend = np.abs(bend) / np.maximum(1.0 - bend * lane_d, 0.2)
    law = line.road.speed_limit_mps * by.speed_part
    fast = np.minimum(law, np.sqrt(by.side_mps2 / np.maximum(bend, 1e-4)))
    fast = np.minimum(fast, _caution(s, ego_s, lane_d, around, by))
    room = fast**2 + 2 * by.brake_mps2 * s
    allowed = np.minimum.accumulate(room[::-1])[::-1] - 2 * by.brake_mps2 * s
    reached = np.maximum(ego_mps**2 - 2 * by.firm_mps2 * np.maximum(s - ego_s, 0.0), 0.0)
    reached = np.minimum(reached, law**2)
    return s, np.sqrt(np.maximum(allowed, reached))


def _caution(s: Floats, ego_s: float, lane_d: float, around: Obstacles, by: Settings) -> Floats:
    """Slower past parked cars, behind which somebody may stand, and past people at the kerb."""
    cap = np.full(len(s), np.inf)
    # of a track's ways all tell the same
    for (at, d, along, across, kind), half in dict(
        zip(around.track_M.tolist(), zip(around.now_M5.tolist(), around.long_M.tolist(), strict=True), strict=True)
    ).values():
        walks = kind in WALKERS
        stands = abs(along) < STANDS_MPS and abs(across) < STANDS_MPS
        if at - ego_s > by.caution_ahead_m or not (walks or stands) or abs(along) > 3.0:
            continue
        if abs(d - lane_d) > (WALKER_ASIDE_M if walks else PARKED_ASIDE_M):
            continue
        near = (s > at - half - HALF_LONG - 8.0) & (s < at + half + HALF_LONG)
        np.minimum(cap, by.walker_mps if walks else by.parked_mps, out=cap, where=near)
    return cap


def leads(line: Line, ego_s: float, around: Obstacles) -> list[Lead | None]:
    """The nearest thing ahead in each lane of the ego's way."""
    road = line.road
    own = road.lanes - road.oncoming
    found: list[Lead | None] = [None] * own
    s = around.now_M5[:, 0]
    rows = ((s > ego_s) & (s < ego_s + LANE_AHEAD_M)).nonzero()[0]
    rows = rows[s[rows].argsort(kind="stable")]
    reach = (around.reach[1][rows, 0] + HALF_WIDE + 0.1).tolist()
    for row, half, (at, d, along, _, _) in zip(rows.tolist(), reach, around.now_M5[rows].tolist(), strict=True):
        for lane in range(own):
            if found[lane] is None and abs(d - road.lane_centre_d(lane)) < half:
                found[lane] = Lead(at - float(around.long_M[row]), max(along, 0.0))
    return found


def lane_speeds(ahead: list[Lead | None], ego_s: float, free_mps: float, by: Settings) -> Floats:
    """Mean speed of the next seconds if one keeps behind what is there."""
    speeds = np.full(len(ahead), free_mps)
    for lane, lead in enumerate(ahead):
        if lead is not None:
            room = lead.rear_s - ego_s - HALF_LONG - lead.gap(by)
            speeds[lane] = min(max(lead.speed_mps + room / LANE_AHEAD_S, 0.0), free_mps)
    return speeds
