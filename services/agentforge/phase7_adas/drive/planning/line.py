"""The road's reference line as an even table: places near a known place are found without searching."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from agentforge.phase7_adas.drive.road import STEP_M, Road
from agentforge.phase7_adas.drive.truth import Floats, Ints

BEFORE_M, BEHIND_M = 100.0, 300.0
"""The table goes on straight this far before the road's beginning and behind its end."""


class Line:
    def __init__(self, road: Road) -> None:
        self.road = road
        s = np.arange(-BEFORE_M, road.length_m + BEHIND_M, STEP_M)
        self._xy_N2 = road.to_world(s, np.zeros(len(s)))
        self._heading_N = road.heading(s)
        self._curvature_N = road.curvature(s)

    def _place(self, s_N: Floats) -> tuple[Ints, Floats]:
        steps = np.clip((s_N + BEFORE_M) / STEP_M, 0.0, len(self._heading_N) - 1.001)
        low = steps.astype(np.int64)
        return low, steps - low

    def heading(self, s_N: Floats) -> Floats:
        low, part = self._place(s_N)
        return np.asarray(self._heading_N[low] * (1 - part) + self._heading_N[low + 1] * part)

    def curvature(self, s_N: Floats) -> Floats:
        low, part = self._place(s_N)
        return np.asarray(self._curvature_N[low] * (1 - part) + self._curvature_N[low + 1] * part)

    def to_world(self, s_N: Floats, d_N: Floats) -> Floats:
        low, part = self._place(s_N)
        heading = self._heading_N[low] * (1 - part) + self._heading_N[low + 1] * part
        xy = self._xy_N2[low] * (1 - part)[..., None] + self._xy_N2[low + 1] * part[..., None]
        return np.asarray(xy + d_N[..., None] * np.stack([-np.sin(heading), np.cos(heading)], axis=-1))

    def to_road(self, xy_N2: Floats, near_N: Floats) -> tuple[Floats, Floats]:
        """s and d, by Newton's steps from a place that is near; any shape before the last axis."""
        s = near_N
        for _ in range(4):
            low, part = self._place(s)
            heading = self._heading_N[low] * (1 - part) + self._heading_N[low + 1] * part
            cos, sin = np.cos(heading), np.sin(heading)
            away = xy_N2 - (self._xy_N2[low] * (1 - part)[..., None] + self._xy_N2[low + 1] * part[..., None])
            along, d = away[..., 0] * cos + away[..., 1] * sin, away[..., 1] * cos - away[..., 0] * sin
            squeeze = np.maximum(1.0 - self._curvature_N[low] * d, 0.2)
            s = s + np.clip(along / squeeze, -25.0, 25.0)
        return s, d


@lru_cache(maxsize=8)
def line_of(road: Road) -> Line:
    return Line(road)
