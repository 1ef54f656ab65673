"""The road's reference line as an even table: places near a known place are found without searching."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from agentforge.phase7_adas.drive.road import STEP_M, Road
from agentforge.phase7_adas.drive.truth import Floats, Ints

BEFORE_M, BEHIND_M = 100.0, 300.0
"""The table goes on straight this far before the road's beginning and behind its end."""
CLOSE_M = 1e-6
"""After a step this short no other is needed: what is left is squared by each."""


class Line:
    def __init__(self, road: Road) -> None:
        self.road = road
        s = np.arange(-BEFORE_M, road.length_m + BEHIND_M, STEP_M)
        self._table_4N = np.empty((4, len(s)))
        self._table_4N[:2] = road.to_world(s, np.zeros(len(s))).T
        self._table_4N[2], self._table_4N[3] = road.heading(s), road.curvature(s)
        self._x_N, self._y_N, self._heading_N, self._curvature_N = self._table_4N

    def _place(self, s_N: Floats) -> tuple[Ints, Floats]:
        steps = (s_N + BEFORE_M) / STEP_M
        steps = np.minimum(np.maximum(steps, 0.0, out=steps), len(self._heading_N) - 1.001, out=steps)
        low = steps.astype(np.int64)
        return low, np.subtract(steps, low, out=steps)

    def heading(self, s_N: Floats) -> Floats:
        low, part = self._place(s_N)
        return _between(self._heading_N, low, low + 1, 1 - part, part)

    def curvature(self, s_N: Floats) -> Floats:
        low, part = self._place(s_N)
        return _between(self._curvature_N, low, low + 1, 1 - part, part)

    def frame(self, s_N: Floats) -> Floats:
        """x, y, heading and curvature of the line, (4, N)."""
        low, part = self._place(s_N)
        return _between(self._table_4N, low, low + 1, 1 - part, part)

    def to_world(self, s_N: Floats, d_N: Floats) -> Floats:
        x, y, heading, _ = self.frame(s_N)
        xy = np.empty((*x.shape, 2))
        xy[..., 0], xy[..., 1] = beside_line(x, y, heading, d_N)
        return xy

    def to_road(self, xy_N2: Floats, near_N: Floats) -> tuple[Floats, Floats]:
        """s and d, by Newton's steps from a place that is near; any shape before the last axis."""
        s, x, y = near_N, xy_N2[..., 0], xy_N2[..., 1]
        for _ in range(4):
            low, part = self._place(s)
            line_x, line_y, heading = _between(self._table_4N[:3], low, low + 1, 1 - part, part)
            cos, sin = np.cos(heading), np.sin(heading)
            dx, dy = np.subtract(x, line_x, out=line_x), np.subtract(y, line_y, out=line_y)
            along, d = dx * cos + dy * sin, dy * cos - dx * sin
            along /= np.maximum(1.0 - self._curvature_N.take(low) * d, 0.2)
            s = s + np.minimum(np.maximum(along, -25.0, out=along), 25.0, out=along)
            if np.abs(along, out=along).max(initial=0.0) < CLOSE_M:
                break
        return s, d

    def foot(self, x: float, y: float, near: float) -> tuple[float, float, float, float]:
        """s, d, heading and curvature for one point: what `to_road` does, sooner done without arrays."""
        s, d = near, 0.0
        for _ in range(4):
            heading = self._at(self._heading_N, s)
            cos, sin = math.cos(heading), math.sin(heading)
            dx, dy = x - self._at(self._x_N, s), y - self._at(self._y_N, s)
            d = dy * cos - dx * sin
            step = (dx * cos + dy * sin) / max(1.0 - self._at(self._curvature_N, s) * d, 0.2)
            s += min(max(step, -25.0), 25.0)
            if abs(step) < CLOSE_M:
                break
        return s, d, self._at(self._heading_N, s), self._at(self._curvature_N, s)

    def _at(self, table_N: Floats, s: float) -> float:
        steps = min(max((s + BEFORE_M) / STEP_M, 0.0), len(table_N) - 1.001)
        low = int(steps)
        part = steps - low
        return float(table_N[low]) * (1 - part) + float(table_N[low + 1]) * part


def beside_line(x: Floats, y: Floats, heading: Floats, d: Floats) -> tuple[Floats, Floats]:
    """Places at the left of the line's, by `d`."""
    return x + d * -np.sin(heading), y + d * np.cos(heading)


def _between(table: Floats, low: Ints, high: Ints, less: Floats, part: Floats) -> Floats:
    """Of one table (N,), or of several (..., N)."""
    value = table.take(low, axis=-1)
    value *= less
    after = table.take(high, axis=-1)
    after *= part
    value += after
    return value


@lru_cache(maxsize=8)
def line_of(road: Road) -> Line:
    return Line(road)
