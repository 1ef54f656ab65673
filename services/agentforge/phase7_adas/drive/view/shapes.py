"""Shapes in metres on the ground: the road, bodies, tracks, what is foreseen, the plan. As SVG, y to the north."""

from __future__ import annotations

import math

import numpy as np

from agentforge.phase7_adas.drive.messages import Predictions, Tracks
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import LENGTH, WIDTH, Floats, Kind
from agentforge.phase7_adas.drive.view.style import KIND_CLASS

STEP_M = 4.0
SEEN_M = 0.55
"""People are drawn no smaller than this radius, or nobody would see them."""


def n(value: float) -> str:
    """A number as short as a picture needs it: centimetres."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"


def points(xy_N2: Floats) -> str:
    return " ".join(f"{n(float(x))},{n(float(y))}" for x, y in xy_N2)


def road_shape(road: Road, first_s: float, last_s: float) -> str:
    """The road between two places along it: its surface, and the lines between lanes."""
    s = np.arange(first_s, last_s + STEP_M, STEP_M)

    def line(d_m: float) -> Floats:
        return road.to_world(s, np.full(len(s), d_m))

    edges = np.vstack([line(0.0), line(road.width_m)[::-1]])
    parts = [f'<polygon class="road" points="{points(edges)}"/>']
    inset = 0.15
    for d_m in (inset, road.width_m - inset):
        parts.append(f'<polyline class="line" points="{points(line(d_m))}"/>')
    for lane in range(1, road.lanes):
        parts_ways = lane == road.lanes - road.oncoming
        kind = "line middle" if parts_ways else "line dashes"
        parts.append(f'<polyline class="{kind}" points="{points(line(lane * road.lane_width_m))}"/>')
    return "".join(parts)


def body_shape(kind: int, length_m: float, width_m: float, ego: bool = False) -> str:
    """Centred at the origin, heading along x."""
    style = "ego" if ego else KIND_CLASS[Kind(kind)]
    long, wide = length_m / 2, width_m / 2
    if kind == Kind.PEDESTRIAN:
        return f'<ellipse class="{style}" rx="{n(max(long, SEEN_M))}" ry="{n(max(wide, SEEN_M))}"/>'
    corner = n(0.25 if kind == Kind.VEHICLE else 0.05)
    box = _box(style, long, wide, corner)
    if kind != Kind.VEHICLE:
        return box
    # a windscreen shows where the front is
    front, depth = long - min(1.5, length_m * 0.3), 0.6
    glass = f'<rect class="glass" x="{n(front - depth)}" y="{n(-wide * 0.8)}" width="{n(depth)}"'
    return f'{box}{glass} height="{n(wide * 1.6)}" rx=".15"/>'


def track_shape(length_m: float, width_m: float) -> str:
    return _box("track", length_m / 2 + 0.35, width_m / 2 + 0.35, "0.3")


def _box(style: str, long: float, wide: float, corner: str) -> str:
    size = f'width="{n(2 * long)}" height="{n(2 * wide)}"'
    return f'<rect class="{style}" x="{n(-long)}" y="{n(-wide)}" {size} rx="{corner}"/>'


def placed(shape: str, x_m: float, y_m: float, heading_rad: float) -> str:
    turned = n(math.degrees(heading_rad))
    return f'<g transform="translate({n(x_m)} {n(y_m)}) rotate({turned})">{shape}</g>'


def track_heading(vx: float, vy: float, beside_rad: float) -> float:
    """A track has a velocity and no heading: slow ones are drawn along the ego's."""
    return math.atan2(vy, vx) if math.hypot(vx, vy) > 0.5 else beside_rad


def tracks_shape(tracks: Tracks, beside_rad: float) -> str:
    parts = []
    for mean, size in zip(tracks.mean_N4, tracks.size_N3, strict=True):
        if np.isfinite(mean).all() and np.isfinite(size).all():
            x, y, vx, vy = (float(part) for part in mean)
            shape = track_shape(float(size[LENGTH]), float(size[WIDTH]))
            parts.append(placed(shape, x, y, track_heading(vx, vy, beside_rad)))
    return "".join(parts)


def predictions_shape(predictions: Predictions) -> str:
    """One line per way that a track may go, the fainter the less likely; less than 5 % is not drawn."""
    parts = []
    for ways, probabilities in zip(predictions.xy_NKT2, predictions.probability_NK, strict=True):
        for way, probability in zip(ways, probabilities, strict=True):
            if probability >= 0.05 and np.isfinite(way).all():
                faint = n(min(1.0, 0.2 + 0.8 * float(probability)))
                parts.append(f'<polyline class="foreseen" opacity="{faint}" points="{points(way)}"/>')
    return "".join(parts)


def plan_shape(xy_T2: Floats) -> str:
    finite = xy_T2[np.isfinite(xy_T2).all(axis=1)]
    return f'<polyline class="plan" points="{points(finite)}"/>' if len(finite) > 1 else ""
