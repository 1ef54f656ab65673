"""Tracks as the monitor sees them beside the road: places, speeds and half extents, without the planner's help."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.messages import PLAN_HEADING, VX, VY, Plan, Tracks
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import HEADING, LENGTH, SPEED, WIDTH, Floats, Ints, X, Y
from agentforge.phase7_adas.drive.world.limits import EGO_SIZE

HALF_LONG, HALF_WIDE = EGO_SIZE[0] / 2, EGO_SIZE[1] / 2
NEAR_M: Final = 120.0
EXISTS: Final = 0.5
SLOW_MPS: Final = 0.7
WAY_STEPS: Final = slice(2, 25, 2)
"""Of a plan: 0.2 to 2.4 s."""
BRAKING_S: Final = 0.3
"""Over this time others' deceleration is measured."""


@dataclass(frozen=True)
class Around:
    """The ego and N tracks by the road's line: s, d, their speeds, gaps from box to box."""

    ego_s: float
    ego_d: float
    ego_along: float
    ego_across: float
    row_N: Ints
    id_N: Ints
    s_N: Floats
    d_N: Floats
    along_N: Floats
    across_N: Floats
    ahead_N: Floats
    """From front to rear, metres; negative where they are level."""
    aside_N: Floats
    """From side to side; negative where one is ahead of the other."""
    accel_N: Floats
    """Measured along the road; zero until known."""
    way_T3: Floats
    """s, d and heading less the road's of the plan's rows WAY_STEPS; empty without a plan."""


class Surroundings:
    def __init__(self) -> None:
        self._speeds: dict[int, deque[tuple[int, float]]] = {}

    def step(self, road: Road, ego_6: Floats, tracks: Tracks, plan: Plan | None) -> Around:
        away = tracks.mean_N4[:, :2] - ego_6[[X, Y]]
        rows = np.flatnonzero((np.abs(away).max(axis=1, initial=0.0) < NEAR_M) & (tracks.existence_N > EXISTS))
        way = plan.states_T5[WAY_STEPS] if plan is not None else np.zeros((0, 5))
        mean, size = tracks.mean_N4[rows], tracks.size_N3[rows]
        all_s, all_d = road.to_road(np.concatenate([ego_6[None, [X, Y]], mean[:, :2], way[:, :2]]))
        all_heading, count = road.heading(all_s), 1 + len(rows)
        s, d, heading = all_s[:count], all_d[:count], all_heading[:count]
        way_T3 = np.empty((len(way), 3))
        way_T3[:, 0], way_T3[:, 1] = all_s[count:], all_d[count:]
        way_T3[:, 2] = way[:, PLAN_HEADING] - all_heading[count:]
        turn = float(np.remainder(ego_6[HEADING] - heading[0] + np.pi, 2 * np.pi) - np.pi)
        cos, sin = np.cos(heading[1:]), np.sin(heading[1:])
        along = mean[:, VX] * cos + mean[:, VY] * sin
        across = mean[:, VY] * cos - mean[:, VX] * sin
        lean = np.where(np.hypot(along, across) > SLOW_MPS, np.arctan2(across, along), 0.0)
        long, wide = size[:, LENGTH] / 2, size[:, WIDTH] / 2
        reach_s = long * np.abs(np.cos(lean)) + wide * np.abs(np.sin(lean))
        reach_d = long * np.abs(np.sin(lean)) + wide * np.abs(np.cos(lean))
        half_wide = HALF_WIDE + HALF_LONG * abs(np.sin(turn))
        ids = tracks.id_N[rows]
        return Around(
            float(s[0]), float(d[0]), float(ego_6[SPEED] * np.cos(turn)), float(ego_6[SPEED] * np.sin(turn)),
            rows, ids, s[1:], d[1:], along, across, s[1:] - s[0] - reach_s - HALF_LONG,
            np.abs(d[1:] - d[0]) - reach_d - half_wide, self._accelerations(tracks.t_us, ids, along), way_T3,
        )  # fmt: skip

    def _accelerations(self, t_us: int, id_N: Ints, along_N: Floats) -> Floats:
        kept: dict[int, deque[tuple[int, float]]] = {}
        accel = np.zeros(len(id_N))
        for row, (track, speed) in enumerate(zip(id_N.tolist(), along_N.tolist(), strict=True)):
            known = self._speeds.get(track, deque())
            known.append((t_us, speed))
            while t_us - known[0][0] > BRAKING_S * 1e6:
                known.popleft()
            since = (t_us - known[0][0]) / 1e6
            if since > BRAKING_S / 2:
                accel[row] = (speed - known[0][1]) / since
            kept[track] = known
        self._speeds = kept
        return accel
