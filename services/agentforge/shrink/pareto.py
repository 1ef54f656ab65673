"""Who is beaten by nobody, and how much room they leave nobody else. All lower is better."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, ...]


def dominates(one: Point, other: Point) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


def volume(points: Sequence[Point], corner: Point) -> float:
    """Of what the points dominate below the corner: slices along the last axis, each one dimension less."""
    if not points:
        return 0.0
    if len(corner) == 1:
        return corner[0] - min(point[0] for point in points)
    heights = sorted({point[-1] for point in points})
    total = 0.0
    for low, high in zip(heights, [*heights[1:], corner[-1]], strict=True):
        total += (high - low) * volume([point[:-1] for point in points if point[-1] <= low], corner[:-1])
    return total
