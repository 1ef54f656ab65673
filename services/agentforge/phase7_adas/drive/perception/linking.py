"""Which camera box, lidar cluster and radar return belong to one body."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from agentforge.phase7_adas.drive.perception.radar import Echoes
from agentforge.phase7_adas.drive.truth import Floats, Ints

NONE = -1
FAR_RATIO = 0.2
"""Standard deviation of the camera's distance against lidar's, as a logarithm."""
BEARING_RAD = 0.008
GATE = 3.0  # standard deviations
RADAR_M, RADAR_RAD = 1.0, 0.012
DOUBTFUL_M, SAME_M = 3.0, 6.0
"""Of a body whose distance is this doubtful, returns that are this far from the best one are of others."""
MOST_M = 8.0


def camera_to_clusters(
    bearing_N: Floats, half_N: Floats, far_N: Floats, xy_M2: Floats, eye_2: Floats, fits_NM: NDArray[np.bool_]
) -> Ints:
    """By camera box: the cluster that it shows, or NONE. One to one; `fits`: a body of its kind may be so large."""
    link = np.full(len(bearing_N), NONE, dtype=np.int64)
    if len(bearing_N) == 0 or len(xy_M2) == 0:
        return link
    away = xy_M2 - eye_2
    off = (bearing_N[:, None] - np.arctan2(away[:, 1], away[:, 0])) / (BEARING_RAD + 0.5 * half_N[:, None])
    ratio = np.log(np.maximum(np.hypot(away[:, 0], away[:, 1]), 0.5) / np.maximum(far_N[:, None], 0.5)) / FAR_RATIO
    cost = off**2 + ratio**2
    allowed = (np.abs(off) < GATE * 0.8) & (np.abs(ratio) < GATE) & fits_NM
    rows, columns = linear_sum_assignment(np.where(allowed, cost, 1e3))
    good = allowed[rows, columns]
    link[rows[good]] = columns[good]
    return link


def echoes_to_bodies(found: Echoes, xy_M2: Floats, size_M3: Floats, radial_M: Floats, eye_2: Floats) -> Ints:
    """By return: the body that it is of, or NONE. Many returns may be of one."""
    if len(found) == 0 or len(xy_M2) == 0:
        return np.full(len(found), NONE, dtype=np.int64)
    away, seen = xy_M2 - eye_2, found.xy_N2 - eye_2
    far, angle = np.hypot(away[:, 0], away[:, 1]), np.arctan2(away[:, 1], away[:, 0])
    reach = np.hypot(size_M3[:, 0], size_M3[:, 1]) / 2
    deep = np.maximum(np.abs(np.hypot(seen[:, 0], seen[:, 1])[:, None] - far) - reach, 0.0)
    deep = deep / (RADAR_M + np.minimum(radial_M, MOST_M))
    turn = np.arctan2(seen[:, 1], seen[:, 0])[:, None] - angle
    wide = np.maximum(np.abs(turn) - 0.6 * np.arctan2(size_M3[:, 1], far), 0.0) / RADAR_RAD
    cost = deep**2 + wide**2 + (turn * far / 4.0) ** 2
    best, every = cost.argmin(axis=1), np.arange(len(found))
    good = ((deep < GATE) & (wide < GATE))[every, best]
    link = np.where(good, best, NONE)
    # where only the camera told the distance, returns of several bodies in its direction may be gathered
    doubtful = (good & (radial_M[best] > DOUBTFUL_M)).nonzero()[0]
    if len(doubtful) == 0:
        return link
    of, range_D = best[doubtful], found.range_N[doubtful]
    order = np.lexsort((cost[doubtful, of], of))
    body, first, _ = runs(of[order])
    place = np.zeros(len(xy_M2))
    place[body] = range_D[order[first]]
    link[doubtful[np.abs(range_D - place[of]) > SAME_M]] = NONE
    return link


def runs(sorted_N: Ints) -> tuple[Ints, Ints, Ints]:
    """Each number of a sorted row, where it begins, and how often it comes: np.unique sorts once more."""
    begins = np.empty(len(sorted_N) + 1, dtype=bool)
    begins[0] = begins[-1] = True
    np.not_equal(sorted_N[1:], sorted_N[:-1], out=begins[1:-1])
    edge = begins.nonzero()[0]
    return sorted_N[edge[:-1]], edge[:-1], edge[1:] - edge[:-1]
