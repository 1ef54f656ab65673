"""A road: a reference line of arcs and straights with lanes beside it. The ego has it as its map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from agentforge.phase7_adas.drive.truth import Floats, Ints

STEP_M = 0.5
_EVERY = 20
_AROUND = np.arange(-_EVERY, _EVERY + 1)


@dataclass(frozen=True)
class Road:
    """`pieces` are (length in metres, curvature in 1/m), from the origin along x.

    The reference line is the right edge of the rightmost lane; lane k's centre is at d = (k + 1/2) lane_width.
    The `oncoming` leftmost lanes are driven against s.
    """

    pieces: tuple[tuple[float, float], ...]
    lanes: int = 2
    oncoming: int = 0
    lane_width_m: float = 3.5
    speed_limit_mps: float = 13.9

    def __post_init__(self) -> None:
        if not self.pieces or any(length <= 0 for length, _ in self.pieces):
            raise ValueError("a road needs pieces, each longer than zero metres")
        if not 0 <= self.oncoming < self.lanes:
            raise ValueError(f"{self.oncoming} oncoming lanes of {self.lanes}: one at least is the ego's way")

    @property
    def length_m(self) -> float:
        return sum(length for length, _ in self.pieces)

    @property
    def width_m(self) -> float:
        return self.lanes * self.lane_width_m

    def lane_centre_d(self, lane: int) -> float:
        return (lane + 0.5) * self.lane_width_m

    @cached_property
    def _line(self) -> tuple[Floats, Floats, Floats, Floats]:
        """s, xy, heading (continuous) and curvature of the reference line, every STEP_M."""
        s = np.arange(0.0, self.length_m + STEP_M, STEP_M)
        ends = np.cumsum([length for length, _ in self.pieces])
        piece = np.minimum(np.searchsorted(ends, s, side="right"), len(self.pieces) - 1)
        curvature = np.array([bend for _, bend in self.pieces])[piece]
        heading = np.concatenate([[0.0], np.cumsum((curvature[:-1] + curvature[1:]) / 2 * STEP_M)])
        middle = (heading[:-1] + heading[1:]) / 2
        x = np.concatenate([[0.0], np.cumsum(np.cos(middle) * STEP_M)])
        y = np.concatenate([[0.0], np.cumsum(np.sin(middle) * STEP_M)])
        return s, np.stack([x, y], axis=1), heading, curvature

    @cached_property
    def _xy(self) -> tuple[Floats, Floats]:
        """x and y of the line's points, each in one piece."""
        x, y = np.ascontiguousarray(self._line[1].T)
        return x, y

    @cached_property
    def _windows(self) -> tuple[Floats, Floats, Ints, Floats, Floats]:
        """Every _EVERY-th point of the line: x (C,), y (C,); and all the points that are around each, in order:
        which they are (C, W), x, y. At the ends of the line some are there more than once.
        """
        x, y = self._xy
        of_CW = np.arange(0, len(x), _EVERY)[:, None] + _AROUND
        of_CW = np.minimum(np.maximum(of_CW, 0), len(x) - 1)
        return x[::_EVERY].copy(), y[::_EVERY].copy(), of_CW, x[of_CW], y[of_CW]

    def heading(self, s_N: Floats) -> Floats:
        """Of the reference line; before its beginning and behind its end the road goes straight on."""
        s, _, heading, _ = self._line
        return np.interp(s_N, s, heading)

    def curvature(self, s_N: Floats) -> Floats:
        s, _, _, curvature = self._line
        inside = (s_N >= 0) & (s_N <= s[-1])
        return np.where(inside, np.interp(s_N, s, curvature), 0.0)

    def to_world(self, s_N: Floats, d_N: Floats) -> Floats:
        s, _, line_heading, _ = self._line
        line_x, line_y = self._xy
        heading = np.interp(s_N, s, line_heading)
        cos, sin = np.cos(heading), np.sin(heading)
        over = s_N - np.minimum(np.maximum(s_N, 0.0), s[-1])
        xy = np.empty((len(heading), 2))
        xy[:, 0] = np.interp(s_N, s, line_x) + over * cos - d_N * sin
        xy[:, 1] = np.interp(s_N, s, line_y) + over * sin + d_N * cos
        return xy

    def to_road(self, xy_N2: Floats) -> tuple[Floats, Floats]:
        """s and d of points: the nearest point of the line, then the foot on its tangent."""
        s, _, heading, _ = self._line
        line_x, line_y = self._xy
        coarse_x, coarse_y, of_CW, x_CW, y_CW = self._windows
        x, y = xy_N2[:, :1], xy_N2[:, 1:2]
        window = _squared(x - coarse_x, y - coarse_y).argmin(axis=1)
        best = _squared(x - x_CW.take(window, axis=0), y - y_CW.take(window, axis=0)).argmin(axis=1)
        near = of_CW[window, best]
        dx, dy, turn = x[:, 0] - line_x.take(near), y[:, 0] - line_y.take(near), heading.take(near)
        cos, sin = np.cos(turn), np.sin(turn)
        return s.take(near) + dx * cos + dy * sin, dy * cos - dx * sin


def _squared(dx: Floats, dy: Floats) -> Floats:
    dx *= dx
    dy *= dy
    dx += dy
    return dx
