"""What the camera's network is taught: heat at the middle of each visible body, its box and its distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.sensors.camera import light_of
from agentforge.phase7_adas.drive.sensors.geometry import View, view, visible
from agentforge.phase7_adas.drive.sensors.spec import CameraSpec
from agentforge.phase7_adas.drive.truth import HEIGHT, Floats, Kind, Truth

CROP_UP, CROP_DOWN = 32, 64
"""Rows above and below the horizon that the network sees, of 4 x 4 binned pixels."""
STRIDE = 4
CLASSES = (Kind.VEHICLE, Kind.CYCLIST, Kind.PEDESTRIAN)
# channels of the network's output: heat by class, then these
OFF_COLUMN, OFF_ROW, LOG_WIDE, LOG_HIGH, LOG_FAR = range(len(CLASSES), len(CLASSES) + 5)
CHANNELS = len(CLASSES) + 5
FAR_UNIT_M, SIZE_UNIT_PX = 40.0, 16.0
LEAST_VISIBLE, LEAST_THROUGH, LEAST_PX = 0.3, 0.06, 1.2


@dataclass(frozen=True)
class Boxes:
    """Bodies in the cropped picture: left, top, right, bottom in binned pixels, farthest first."""

    edges_N4: Floats
    far_N: Floats
    kind_N: NDArray[np.int64]
    taught_N: NDArray[np.bool_]
    """False: too hidden, too small or too deep in haze to ask for, but not an error to tell."""


def crop_shape(spec: CameraSpec) -> tuple[int, int]:
    return CROP_UP + CROP_DOWN, spec.shape[1]


def cropped(image_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    horizon = image_HW.shape[0] // 2
    return image_HW[horizon - CROP_UP : horizon + CROP_DOWN]


def boxes(truth: Truth, spec: CameraSpec) -> Boxes:
    seen = view(truth, spec.mount_x_m, spec.range_m)
    part, _ = visible(seen, spec.mount_z_m)
    edges = _edges(seen, spec)
    height, width = crop_shape(spec)
    clipped = np.clip(edges, 0.0, [width, height, width, height])
    area = (edges[:, 2] - edges[:, 0]) * (edges[:, 3] - edges[:, 1])
    inside = (clipped[:, 2] - clipped[:, 0]) * (clipped[:, 3] - clipped[:, 1]) / np.maximum(area, 1e-9)
    far = np.hypot(seen.xy_N2[:, 0], seen.xy_N2[:, 1])
    through = light_of(truth.weather).through(far)
    shown = (clipped[:, 2] - clipped[:, 0] > 0.2) & (clipped[:, 3] - clipped[:, 1] > 0.2)
    small = (clipped[:, 2] - clipped[:, 0]) < LEAST_PX
    taught = (part >= LEAST_VISIBLE) & (inside > 0.25) & (through > LEAST_THROUGH) & ~small
    taught &= seen.kind_N != Kind.OBSTACLE
    order = [each for each in np.argsort(-far, kind="stable") if shown[each] and seen.kind_N[each] != Kind.OBSTACLE]
    return Boxes(clipped[order], far[order], seen.kind_N[order], taught[order])


def _edges(seen: View, spec: CameraSpec) -> Floats:
    x = np.maximum(seen.corners_N42[:, :, 0], 0.5)
    column = spec.shape[1] / 2 - spec.focal_px * seen.corners_N42[:, :, 1] / x
    near = np.maximum(x.min(axis=1), 0.5)
    top = CROP_UP - spec.focal_px * (seen.size_N3[:, HEIGHT] - spec.mount_z_m) / near
    bottom = CROP_UP + spec.focal_px * spec.mount_z_m / near
    return np.stack([column.min(axis=1), top, column.max(axis=1), bottom], axis=1)


@dataclass(frozen=True)
class Target:
    heat_CHW: NDArray[np.float32]
    asked_HW: NDArray[np.float32]
    """Where heat counts: 0 over bodies that are not taught."""
    box_5HW: NDArray[np.float32]
    at_HW: NDArray[np.float32]
    """1 where a box is taught."""


def target(found: Boxes, shape: tuple[int, int]) -> Target:
    high, wide = shape[0] // STRIDE, shape[1] // STRIDE
    heat = np.zeros((len(CLASSES), high, wide), dtype=np.float32)
    asked, at = np.ones((high, wide), dtype=np.float32), np.zeros((high, wide), dtype=np.float32)
    box = np.zeros((5, high, wide), dtype=np.float32)
    rows, columns = np.arange(high)[:, None], np.arange(wide)
    for (left, top, right, bottom), far, kind, taught in zip(
        found.edges_N4, found.far_N, found.kind_N, found.taught_N, strict=True
    ):
        if not taught:
            asked[
                int(top // STRIDE) : int(bottom // STRIDE) + 1, int(left // STRIDE) : int(right // STRIDE) + 1
            ] = 0.0
            continue
        column, row = (left + right) / 2 / STRIDE, (top + bottom) / 2 / STRIDE
        c, r = min(int(column), wide - 1), min(int(row), high - 1)
        spread_c, spread_r = max(0.6, 0.1 * (right - left) / STRIDE), max(0.6, 0.1 * (bottom - top) / STRIDE)
        bump = np.exp(-(((columns - c) / spread_c) ** 2 + ((rows - r) / spread_r) ** 2) / 2)
        layer = CLASSES.index(Kind(int(kind)))
        heat[layer] = np.maximum(heat[layer], bump)
        asked[r, c] = 1.0
        at[r, c] = 1.0
        sizes = np.log([max(right - left, 0.5) / SIZE_UNIT_PX, max(bottom - top, 0.5) / SIZE_UNIT_PX])
        box[:, r, c] = [column - c - 0.5, row - r - 0.5, *sizes, np.log(far / FAR_UNIT_M)]
    return Target(heat, asked, box, at)
