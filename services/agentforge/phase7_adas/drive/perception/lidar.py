"""Lidar: ground taken away, points gathered on a grid into clusters, a box about each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from agentforge.phase7_adas.drive.perception.motion import columns
from agentforge.phase7_adas.drive.sensors.spec import SPECS, LidarSpec
from agentforge.phase7_adas.drive.truth import Floats, Ints

GROUND_M = 0.18
"""Points lower than this are road; growing with distance for the sensor's pitch and noise."""
GROUND_SLOPE = 0.001
CELL_X_M, CELL_Y_M = 0.9, 0.4
"""Longer ahead than across: rays along a side that is seen at a flat angle lie far apart."""
NEAR_M, FAR_M, SIDE_M = 0.0, 110.0, 45.0
DIM = 0.045
"""Weaker returns this near are drops of rain or fog."""
DIM_WITHIN_M = 25.0
TRIES_DEG = np.arange(-40.0, 50.0, 10.0)
STRAIGHT = int(np.flatnonzero(TRIES_DEG == 0.0)[0])
EDGE_RAD = 0.01
_COS, _SIN = np.cos(np.radians(TRIES_DEG)), np.sin(np.radians(TRIES_DEG))
_LIKING = 1.0 + 0.008 * np.abs(TRIES_DEG)
"""Of boxes that are alike, the one along the ego's own heading."""
_TOUCH = np.ones((3, 3), dtype=bool)
_ROWS, _COLUMNS = int((FAR_M - NEAR_M) / CELL_X_M) + 1, int(2 * SIDE_M / CELL_Y_M) + 1


@dataclass(frozen=True)
class Clusters:
    """In the ego's frame."""

    xy_N2: Floats
    """Middle of the box about the points, which is not the body's middle: the far side gives no points."""
    low_N2: Floats
    high_N2: Floats
    axes_N2: Floats
    """Unit vector of one side of the smallest box about the points; low and high are along it and its left."""
    top_N: Floats
    points_N: Ints
    strength_N: Floats
    ground: int
    """Road points of the sweep: few of them mean that the sensor sees badly."""
    cut_N: NDArray[np.bool_]
    """Whether it goes on beyond the edge of the field of view; its box is along the ego's own heading."""

    def __len__(self) -> int:
        return len(self.points_N)

    @cached_property
    def extent_N2(self) -> Floats:
        return self.high_N2 - self.low_N2

    @cached_property
    def longest_N(self) -> Floats:
        return np.maximum(np.maximum(self.extent_N2[:, 0], self.extent_N2[:, 1]), 0.0)


def clusters(points_N4: Floats, own_half_length_m: float = 2.5, spec: LidarSpec = SPECS.lidar) -> Clusters:
    above = np.flatnonzero(points_N4[:, 2] >= GROUND_M)  # most points are road: they go first
    points = points_N4[above]
    x, y, z, strength = np.ascontiguousarray(points.T)
    kept = z >= GROUND_M + GROUND_SLOPE * x
    kept &= (x > NEAR_M) & (x < FAR_M) & (np.abs(y) < SIDE_M)
    kept &= (x > own_half_length_m) | (np.abs(y) > 1.2)
    kept &= (strength >= DIM) | (x * x + y * y >= DIM_WITHIN_M**2)
    ground, points = len(points_N4) - len(above), points[kept]
    if len(points) == 0:
        none = np.zeros((0, 2))
        no = np.zeros(0, dtype=np.bool_)
        return Clusters(none, none, none, none, np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0), ground, no)
    row = ((points[:, 0] - NEAR_M) / CELL_X_M).astype(np.intp)
    column = ((points[:, 1] + SIDE_M) / CELL_Y_M).astype(np.intp)
    label, many = _labels(row, column)
    slope = math.tan(spec.field_of_view_rad / 2 - EDGE_RAD)
    edge = np.abs(points[:, 1]) > slope * (points[:, 0] - spec.mount_x_m)
    return _boxes(points, label, many, ground, edge)


def _labels(row: NDArray[np.intp], column: NDArray[np.intp]) -> tuple[NDArray[np.intp], int]:
    """Cells that touch, corners too, are one; far away, where rays spread, a body may fall in two."""
    grid = np.zeros((_ROWS, _COLUMNS), dtype=bool)
    grid[row, column] = True
    r0, r1, c0, c1 = row.min(), row.max() + 1, column.min(), column.max() + 1
    part = grid[r0:r1, c0:c1]
    labels, many = ndimage.label(part, structure=_TOUCH)
    return labels[row - r0, column - c0] - 1, many


def _boxes(points: Floats, label: NDArray[np.intp], many: int, ground: int, edge_N: NDArray[np.bool_]) -> Clusters:
    order = np.argsort(label, kind="stable")
    label, points = label[order], points[order]
    count = np.bincount(label, minlength=many)
    start = np.cumsum(count) - count
    x, y = points[:, 0], points[:, 1]
    along = _COS[:, None] * x  # try, point
    along += _SIN[:, None] * y
    across = _COS[:, None] * y
    across -= _SIN[:, None] * x
    sides = [f(each, start, axis=1) for each in (along, across) for f in (np.minimum.reduceat, np.maximum.reduceat)]
    area = (sides[1] - sides[0] + 0.1) * (sides[3] - sides[2] + 0.1) * _LIKING[:, None]
    cut = np.maximum.reduceat(edge_N[order], start)
    # the edge of the view cuts bodies askew, and the smallest box would lie along it
    best, every = np.where(cut, STRAIGHT, area.argmin(axis=0)), np.arange(many)
    low = columns(sides[0][best, every], sides[2][best, every])
    high = columns(sides[1][best, every], sides[3][best, every])
    axes = columns(_COS[best], _SIN[best])
    middle = (low + high) / 2
    xy_middle = columns(
        middle[:, 0] * axes[:, 0] - middle[:, 1] * axes[:, 1], middle[:, 0] * axes[:, 1] + middle[:, 1] * axes[:, 0]
    )
    top = np.maximum.reduceat(points[:, 2], start)
    strength = np.add.reduceat(points[:, 3], start) / count
    return Clusters(xy_middle, low, high, axes, top, count, strength, ground, cut)
