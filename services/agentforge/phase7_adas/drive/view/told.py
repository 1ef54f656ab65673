"""A scene as plain JSON, for pages that draw it themselves: everything in the ego's frame, metres, x forward."""

from __future__ import annotations

from typing import Any

import numpy as np

from agentforge.phase7_adas.drive.orchestrator.pipeline import Tick
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import Floats, Kind, Truth, corners_N42, to_ego

AHEAD_M, BEHIND_M = 70.0, 20.0
_STEP_M = 5.0


def told_scene(tick: Tick, truth: Truth, road: Road, scenario: str) -> dict[str, Any]:
    ego = truth.ego_6
    s, _ = road.to_road(ego[None, :2])
    along = np.arange(-BEHIND_M, AHEAD_M + _STEP_M, _STEP_M) + s[0]
    lines = [road.to_world(along, np.full(len(along), lane * road.lane_width_m)) for lane in range(road.lanes + 1)]
    own = corners_N42(ego[None], truth.ego_size_3[None])[0]
    boxes = corners_N42(truth.others.state_N6, truth.others.size_N3)
    near = np.hypot(*(truth.others.state_N6[:, :2] - ego[:2]).T) < AHEAD_M + BEHIND_M
    tracks = tick.tracks.mean_N4[:, :2] if tick.tracks is not None else np.zeros((0, 2))
    plan = tick.plan.states_T5[::4, :2] if tick.plan is not None else np.zeros((0, 2))
    return {
        "scenario": scenario,
        "t_s": round(truth.t_us / 1e6, 3),
        "mode": tick.verdict.mode.name,
        "faults": sorted({each.code for each in tick.verdict.faults}),
        "speed_mps": round(float(ego[3]), 2),
        "ego": _told(own, ego),
        "others": [
            {"kind": Kind(kind).name.lower(), "corners": _told(box, ego)}
            for kind, box in zip(truth.others.kind_N[near], boxes[near], strict=True)
        ],
        "tracks": _told(tracks, ego),
        "plan": _told(plan, ego),
        "lanes": [_told(line, ego) for line in lines],
    }


def _told(xy_N2: Floats, ego_6: Floats) -> list[list[float]]:
    return [[round(float(x), 2), round(float(y), 2)] for x, y in to_ego(xy_N2, ego_6)]
