"""Marks on the road against the map: how far across the road the ego is, sooner and better than GPS can tell.

Where the map's lines should be in the picture follows from where the ego believes to be. They are tried a little to
the left and to the right; where all of them lie on something brighter than what is beside it, there the ego is.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from agentforge.phase7_adas.drive.messages import Ego, LaneFix
from agentforge.phase7_adas.drive.readings import CameraReading
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.sensors.spec import CameraSpec
from agentforge.phase7_adas.drive.truth import HEADING, SPEED, YAW_RATE, Floats, X, Y, to_ego

NEAR_M, FAR_M, EVERY_ROW = 6.0, 16.0, 3
"""Rows of the picture that are looked at, by what they show of the ground."""
LEAST_OFF_M, MOST_OFF_M, STEP_M = 1.0, 2.6, 0.08
"""Tried to each side. Less than a lane's width: further off, one line could be taken for its neighbour."""
SIGMAS = 4.0
ASIDE_M: Final = 0.4
"""What lies so far beside a mark is not marked."""
DARKEST, BRIGHTEST = -20.0, 60.0
"""Levels that one place can count: a white car is no better than a line."""
LEAST_LEVELS, LEAST_LEAD, APART_M = 4.0, 1.25, 0.5
"""How clear it must be, and how much clearer than any other place that is not beside it."""
SIGMA_M: Final = 0.25
"""Much of it stays from picture to picture, so it is more than the scatter of one."""


class Marks:
    def __init__(self, spec: CameraSpec) -> None:
        height, width = spec.shape
        below = np.arange((height + 1) // 2, height) + 0.5 - height / 2
        ahead = spec.focal_px * spec.mount_z_m / below
        rows = np.flatnonzero((ahead > NEAR_M) & (ahead < FAR_M))[::EVERY_ROW]
        self._row_R, self._ahead_R = rows + (height + 1) // 2, np.asarray(ahead[rows], dtype=np.float64)
        self._scale_R = spec.focal_px / self._ahead_R  # pixels of a metre across
        self._spec, self._middle, self._width = spec, width / 2, width
        self._last: Any = None
        self._lost = True
        """Nothing clear was seen the last time: all places are tried."""

    def fix(self, reading: CameraReading, ego: Ego, road: Road) -> LaneFix | None:
        """`reading` can be used (checks.fault_of), and the ego's state is finite. None: nothing clear is seen."""
        seen_RW = reading.image_HW[self._row_R].astype(np.int16)
        if self._last is not None and np.array_equal(seen_RW, self._last):
            return None  # a camera that hangs shows where the ego was
        self._last = seen_RW
        shift_K = _shifts(ego, everywhere=self._lost)
        self._lost = True
        there_6 = _back(ego.state_6, (ego.t_us - reading.stamp.taken_us) * 1e-6)
        s, left_LR = self._lines(there_6, road)
        level_LRK = self._levels(seen_RW, left_LR, shift_K)
        score_K = _score(level_LRK)
        best = int(score_K.argmax())
        others = score_K[np.abs(shift_K - shift_K[best]) > APART_M]
        if score_K[best] < max(LEAST_LEVELS, LEAST_LEAD * others.max()) or best in (0, len(shift_K) - 1):
            return None
        self._lost = False
        lit_R = np.maximum(np.nan_to_num(level_LRK[:, :, best]), 0.0).sum(axis=0)
        ahead_m = float(lit_R @ self._ahead_R / lit_R.sum()) + self._spec.mount_x_m
        heading = float(road.heading(np.array([s + ahead_m]))[0])
        normal_2 = np.array([-np.sin(heading), np.cos(heading)])
        cos, sin = np.cos(there_6[HEADING]), np.sin(there_6[HEADING])
        off = shift_K[best] + _between_steps(score_K[best - 1 : best + 2]) * STEP_M
        place_2 = there_6[[X, Y]] + ahead_m * np.array([cos, sin]) + off * np.array([-sin, cos])
        return LaneFix(int(reading.stamp.taken_us), normal_2, ahead_m, float(normal_2 @ place_2), SIGMA_M)

    def _lines(self, ego_6: Floats, road: Road) -> tuple[float, Floats]:
        """s of the ego, and where each line should be: metres to the left of the camera's axis, by row."""
        s = float(road.to_road(ego_6[None, [X, Y]])[0][0])
        along = s + np.linspace(0.0, FAR_M + 4.0, 6)
        lines = np.arange(road.lanes + 1) * road.lane_width_m
        xy = road.to_world(np.tile(along, len(lines)), np.repeat(lines, len(along)))
        ahead, left = to_ego(xy, ego_6).T.reshape(2, len(lines), len(along))
        ahead = ahead - self._spec.mount_x_m
        return s, np.stack([np.interp(self._ahead_R, a, b) for a, b in zip(ahead, left, strict=True)])

    def _levels(self, seen_RW: Any, left_LR: Floats, shift_K: Floats) -> Floats:
        """How much brighter than beside it, (line, row, shift); NaN outside the picture."""
        at = self._middle - (left_LR[:, :, None] - shift_K) * self._scale_R[:, None]
        aside = (ASIDE_M * self._scale_R)[:, None]
        inside = (at - aside >= 0) & (at + aside < self._width)
        at = np.where(inside, at, self._width / 2)
        first = (np.arange(len(self._row_R)) * self._width)[:, None]
        flat = seen_RW.ravel()
        here, left, right = (flat.take((at + shift).astype(np.int64) + first) for shift in (0.0, -aside, aside))
        level: Floats = np.clip(here - np.maximum(left, right), DARKEST, BRIGHTEST).astype(np.float64)
        level[~inside] = np.nan
        return level


def _shifts(ego: Ego, *, everywhere: bool) -> Floats:
    """Metres to the left that are tried: as far as the ego may be off."""
    left_2 = np.array([-np.sin(ego.state_6[HEADING]), np.cos(ego.state_6[HEADING])])
    unsure = float(np.sqrt(np.abs(left_2 @ ego.cov_66[:2, :2] @ left_2)))
    most = (
        min(max(SIGMAS * unsure, LEAST_OFF_M), MOST_OFF_M) if np.isfinite(unsure) and not everywhere else MOST_OFF_M
    )
    return np.arange(-most, most + STEP_M / 2, STEP_M, dtype=np.float64)


def _score(level_LRK: Floats) -> Floats:
    """By shift, in levels. The road's edges are whole lines: what of them is missing where it should be seen counts
    against a shift, or its neighbour, one line's distance away, would be nearly as good."""
    there_LRK = ~np.isnan(level_LRK)
    count_LK = there_LRK.sum(axis=1)
    total_LK = np.where(there_LRK, level_LRK, 0.0).sum(axis=1)
    mean_LK = total_LK / np.maximum(count_LK, 1)
    whole = float(np.where(count_LK > 0, mean_LK, 0.0)[[0, -1]].max())
    total_LK[[0, -1]] = 2 * total_LK[[0, -1]] - whole * count_LK[[0, -1]]
    score: Floats = total_LK.sum(axis=0) / count_LK.sum(axis=0).max(initial=1)
    return score


def _between_steps(three: Floats) -> float:
    """Where the parabola through three neighbours has its top, in steps from the middle one."""
    bend = float(three[0] - 2 * three[1] + three[2])
    return 0.0 if bend >= 0 else float(three[0] - three[2]) / (2 * bend)


def _back(ego_6: Floats, seconds: float) -> Floats:
    """Where the ego was so long ago."""
    then = ego_6.copy()
    then[HEADING] -= ego_6[YAW_RATE] * seconds
    middle = ego_6[HEADING] - ego_6[YAW_RATE] * seconds / 2
    then[X] -= ego_6[SPEED] * seconds * np.cos(middle)
    then[Y] -= ego_6[SPEED] * seconds * np.sin(middle)
    return then
