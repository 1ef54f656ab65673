"""Boxes touch or do not: against an independent test by clipping polygons, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from agentforge.phase7_adas.drive.truth import Floats, corners_N42
from agentforge.phase7_adas.drive.world.boxes import touch


def overlap_area(one_42: Floats, other_42: Floats) -> float:
    """Of two convex polygons: one clipped by each side of the other (Sutherland and Hodgman), then the shoelace."""
    polygon = [tuple(point) for point in one_42]
    for a, b in zip(other_42, np.roll(other_42, -1, axis=0), strict=True):
        kept = []
        for p, q in zip(polygon, polygon[1:] + polygon[:1], strict=True):
            side_p = (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])
            side_q = (b[0] - a[0]) * (q[1] - a[1]) - (b[1] - a[1]) * (q[0] - a[0])
            if side_p >= 0:
                kept.append(p)
            if side_p * side_q < 0:
                part = side_p / (side_p - side_q)
                kept.append((p[0] + part * (q[0] - p[0]), p[1] + part * (q[1] - p[1])))
        polygon = kept
        if not polygon:
            return 0.0
    x, y = np.array(polygon).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def box(x: float, y: float, heading: float) -> Floats:
    return np.array([x, y, heading, 0.0, 0.0, 0.0])


def test_as_polygon_clipping_says_for_many_boxes() -> None:
    draw = np.random.default_rng(1)
    states = np.zeros((3000, 6))
    states[:, :2] = draw.uniform(-6, 6, (3000, 2))
    states[:, 2] = draw.uniform(-7, 7, 3000)
    sizes = draw.uniform(0.3, 9.0, (3000, 3))
    one, size = box(0.3, -0.2, 0.7), np.array([4.6, 1.9, 1.5])
    said = touch(one, size, states, sizes)
    corners, own = corners_N42(states, sizes), corners_N42(one[None], size[None])[0]
    areas = np.array([overlap_area(own, other) for other in corners])
    assert (said == (areas > 1e-9)).all()
    assert 500 < said.sum() < 2800


@pytest.mark.parametrize(
    ("other", "touches"),
    [
        (box(4.59, 0, 0), True),
        (box(4.61, 0, 0), False),
        (box(0, 1.91, 0), False),
        (box(0, 1.89, np.pi), True),
        (box(3.6, 2.2, np.pi / 4), True),
        (box(4.5, 3.2, np.pi / 4), False),
    ],
)
def test_by_hand(other: Floats, touches: bool) -> None:
    size = np.array([4.6, 1.9, 1.5])
    assert touch(box(0, 0, 0), size, other[None], size[None])[0] == touches


def test_many_with_many_is_one_with_many() -> None:
    draw = np.random.default_rng(2)
    ones, others = draw.uniform(-4, 4, (200, 6)), draw.uniform(-4, 4, (200, 6))
    size, sizes = np.array([4.6, 1.9, 1.5]), draw.uniform(0.3, 5.0, (200, 3))
    pairs = touch(ones, size, others, sizes)
    single = [
        touch(one, size, other[None], each[None])[0] for one, other, each in zip(ones, others, sizes, strict=True)
    ]
    assert pairs.tolist() == single
    assert 20 < pairs.sum() < 180


def test_none_at_all() -> None:
    size = np.array([4.6, 1.9, 1.5])
    assert touch(box(0, 0, 0), size, np.zeros((0, 6)), np.zeros((0, 3))).shape == (0,)
