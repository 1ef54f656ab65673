"""Bodies in perspective: each visible face is a trapezoid with upright sides and soft edges, far to near."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.sensors.geometry import View
from agentforge.phase7_adas.drive.sensors.looks import FIXED, GLOW, KEPT, OF_ALBEDO, SIDE, atlas, looks
from agentforge.phase7_adas.drive.truth import HEIGHT, Floats, Ints

Canvas = NDArray[np.float32]
NEAREST_M = 0.3
SMALL_PX = 12.0
"""A body this narrow is painted as one face."""


@dataclass(frozen=True)
class Light:
    ambient: float
    headlights: float
    extinction_per_m: float
    air: float
    """Brightness of endless haze."""

    def on(self, far_m: Floats | float) -> Floats:
        made: Floats = self.ambient + self.headlights * np.exp(-((np.asarray(far_m) / 45.0) ** 2))
        return made

    def through(self, far_m: Floats | float) -> Floats:
        made: Floats = np.exp(-self.extinction_per_m * np.asarray(far_m, dtype=np.float64))
        return made


@dataclass(frozen=True)
class Lens:
    focal_px: float
    middle_row: float
    middle_column: float
    mount_z_m: float


@dataclass(frozen=True)
class Faces:
    """F faces in the order of painting. Edges: columns left and right; rows top and bottom at either."""

    edges_F6: Floats
    light_F4: Floats
    """Albedo, gain, haze's part (1 - through) x air, through."""
    look_F: Ints


def paint_bodies(canvas: Canvas, seen: View, lens: Lens, light: Light) -> None:
    if len(seen) == 0:
        return
    faces = _faces(seen, lens, light, canvas.shape)
    for edges, bright, look in zip(
        faces.edges_F6.tolist(), faces.light_F4.tolist(), faces.look_F.tolist(), strict=True
    ):
        _paint(canvas, edges, bright, look)


def _faces(seen: View, lens: Lens, light: Light, shape: tuple[int, ...]) -> Faces:
    """Sides whose outside looks at the camera, clipped to what is before it."""
    one, two = seen.corners_N42, np.roll(seen.corners_N42, -1, axis=1)
    ax, ay, bx, by = one[..., 0], one[..., 1], two[..., 0], two[..., 1]
    # corners run counter-clockwise: the outside is to the right of a side
    turned = (ay * (bx - ax) - ax * (by - ay) > 0) & (np.maximum(ax, bx) > NEAREST_M)
    long = np.hypot(bx - ax, by - ay)
    slope = (by - ay) / np.where(np.abs(bx - ax) < 1e-9, 1e-9, bx - ax)
    cx, dx = np.maximum(ax, NEAREST_M), np.maximum(bx, NEAREST_M)
    u = lens.middle_column - lens.focal_px * (ay + (cx - ax) * slope) / cx
    v = lens.middle_column - lens.focal_px * (by + (dx - bx) * slope) / dx
    swap = u > v
    left, right = np.where(swap, v, u), np.where(swap, u, v)
    near, far = np.where(swap, dx, cx), np.where(swap, cx, dx)  # depth at the left and at the right
    up = lens.focal_px * (seen.size_N3[:, HEIGHT, None] - lens.mount_z_m)
    down = lens.focal_px * lens.mount_z_m
    row = lens.middle_row
    edges = np.stack([left, right, row - up / near, row - up / far, row + down / near, row + down / far], axis=2)
    shade = 0.75 + 0.25 * (bx - ax) / np.maximum(long, 1e-6)
    look = looks(seen.kind_N[:, None], long, seen.size_N3)
    wide = np.where(turned, right - left, -1.0)
    small = np.where(turned, wide, 0.0).sum(axis=1) < SMALL_PX
    best = wide.argmax(axis=1)
    every = np.arange(len(seen))
    edges[every[small], best[small], 0] = np.where(turned, left, np.inf).min(axis=1)[small]
    edges[every[small], best[small], 1] = np.where(turned, right, -np.inf).max(axis=1)[small]
    turned &= ~small[:, None] | (np.arange(4) == best[:, None])
    turned &= (edges[..., 1] > 0.0) & (edges[..., 0] < shape[1]) & (edges[..., 1] - edges[..., 0] > 0.05)
    order = np.argsort(-np.hypot(seen.xy_N2[:, 0], seen.xy_N2[:, 1]), kind="stable")
    body, side = np.nonzero(turned[order])
    body = order[body]
    deep = np.minimum(near, far)[body, side]
    through = light.through(deep)
    albedo = 40.0 + (seen.id_N[body] * 2654435761 % 1009) / 1009 * 170.0
    bright = [albedo, shade[body, side] * light.on(deep), light.air * (1.0 - through), through]
    return Faces(edges[body, side], np.stack(bright, axis=1), look[body, side])


def _paint(canvas: Canvas, edges: list[float], bright: list[float], look: int) -> None:
    left, right, top_left, top_right, bottom_left, bottom_right = edges
    rows, columns = canvas.shape
    c0, c1 = max(int(left), 0), min(int(right) + 1, columns)
    r0 = max(int(min(top_left, top_right)), 0)
    r1 = min(int(max(bottom_left, bottom_right)) + 1, rows)
    if c0 >= c1 or r0 >= r1:
        return
    column = np.arange(c0, c1, dtype=np.float32)
    row = np.arange(r0, r1, dtype=np.float32)[:, None]
    across = (column + (0.5 - left)) * (1.0 / (right - left))
    top = across * (top_right - top_left) + top_left
    bottom = across * (bottom_right - bottom_left) + bottom_left
    alpha = np.minimum(row + 1.0, bottom) - np.maximum(row, top)
    np.minimum(np.maximum(alpha, 0.0, out=alpha), 1.0, out=alpha)
    alpha[:, 0] *= min(c0 + 1.0, right) - max(float(c0), left)
    if c1 - c0 > 1:
        alpha[:, -1] *= min(float(c1), right) - (c1 - 1.0)
    down = (row + 0.5 - top) * (SIDE / (bottom - top))
    line = np.minimum(np.maximum(down, 0.0, out=down), SIDE - 1.0, out=down).astype(np.intp)
    place = np.minimum(np.maximum(across * SIDE, 0.0), SIDE - 1.0).astype(np.intp)
    picture = atlas()[look][line, place]
    albedo, gain, haze, through = bright
    value = picture[..., OF_ALBEDO] * (albedo * gain * through)
    value += picture[..., FIXED] * (gain * through) + picture[..., GLOW] * through + haze
    patch = canvas[r0:r1, c0:c1]
    patch += alpha * picture[..., KEPT] * (value - patch)
