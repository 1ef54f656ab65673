"""Whether there was a reason to stop, by the truth. A stop without one is a false stop."""

from __future__ import annotations

import numpy as np

from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import HEADING, LENGTH, SPEED, WIDTH, Truth

FREE_AHEAD_M, COMFORTABLE_MPS2, MARGIN_M = 12.0, 2.5, 1.0
_HORIZON_S, _STEP_S = 3.0, 0.25


def reason_to_stop(truth: Truth, road: Road) -> bool:
    """Something is, or at its velocity within three seconds will be, in the ego's way, no farther ahead than a
    comfortable stop and twelve metres more."""
    if not len(truth.others):
        return False
    speed = max(float(truth.ego_6[SPEED]), 0.0)
    reach_m = speed**2 / (2 * COMFORTABLE_MPS2) + FREE_AHEAD_M + truth.ego_size_3[LENGTH] / 2
    ego_s, ego_d = road.to_road(truth.ego_6[None, :2])
    half_way_m = truth.ego_size_3[WIDTH] / 2 + MARGIN_M
    state, size = truth.others.state_N6, truth.others.size_N3
    half_N = np.maximum(size[:, LENGTH], size[:, WIDTH]) / 2  # whichever way it turns
    velocity_N2 = state[:, SPEED, None] * np.stack([np.cos(state[:, HEADING]), np.sin(state[:, HEADING])], axis=1)
    for ahead_s in np.arange(0.0, _HORIZON_S + _STEP_S, _STEP_S):
        s, d = road.to_road(state[:, :2] + ahead_s * velocity_N2)
        in_way = np.abs(d - ego_d) < half_way_m + np.minimum(half_N, size[:, WIDTH] / 2 + 0.5)
        ahead = (s + half_N > ego_s) & (s - half_N - ego_s < reach_m)
        if bool((in_way & ahead).any()):
            return True
    return False
