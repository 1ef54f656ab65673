"""What later stages go on with when an earlier one gave nothing: the last result, moved on, and told as such."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agentforge.phase7_adas.drive.messages import (
    PREDICTION_STEP_S,
    PREDICTION_STEPS,
    VX,
    VY,
    Predictions,
    Tracks,
)

LONGEST_US = 500_000
"""Older results are no basis for anything."""
_SPREAD_MPS = 1.5  # how fast a straight guess goes wrong


def moved_on(last: Tracks | None, t_us: int) -> Tracks | None:
    """At constant velocity, its uncertainty grown; None where the last is too old."""
    if last is None or not 0 <= t_us - last.t_us <= LONGEST_US:
        return None
    ahead_s = (t_us - last.t_us) / 1e6
    move = np.eye(4)
    move[0, VX] = move[1, VY] = ahead_s
    cov_N44 = move @ last.cov_N44 @ move.T
    cov_N44[:, [0, 1], [0, 1]] += (_SPREAD_MPS * ahead_s) ** 2
    late_us = t_us - last.t_us
    return replace(
        last, t_us=t_us, mean_N4=last.mean_N4 @ move.T, cov_N44=cov_N44,
        age_us_N=last.age_us_N + late_us, unseen_us_N=last.unseen_us_N + late_us,
    )  # fmt: skip


def straight_on(tracks: Tracks) -> Predictions:
    """One way for each: at constant velocity."""
    ahead_T = np.arange(1, PREDICTION_STEPS + 1) * PREDICTION_STEP_S
    xy_NT2 = tracks.mean_N4[:, None, :2] + ahead_T[None, :, None] * tracks.mean_N4[:, None, VX : VY + 1]
    here_N1 = np.sqrt(np.maximum(tracks.cov_N44[:, [0, 1], [0, 1]].mean(axis=1), 0.0))[:, None]
    sigma_NT = np.hypot(here_N1, _SPREAD_MPS * ahead_T[None])
    one_N1 = np.ones((len(tracks.id_N), 1))
    return Predictions(tracks.t_us, tracks.id_N, xy_NT2[:, None], one_N1, sigma_NT[:, None])
