"""The camera's detector: the network by onnxruntime on one thread, peaks of its heat, boxes without doubles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.onnx_file import checked, session
from agentforge.phase7_adas.drive.perception.targets import (
    CLASSES,
    FAR_UNIT_M,
    LOG_FAR,
    LOG_HIGH,
    LOG_WIDE,
    OFF_COLUMN,
    OFF_ROW,
    SIZE_UNIT_PX,
    STRIDE,
    cropped,
)
from agentforge.phase7_adas.drive.sensors.spec import SPECS, CameraSpec
from agentforge.phase7_adas.drive.truth import Floats, Ints

WEIGHTS = Path(__file__).parent / "weights" / "camera.onnx"
LEAST_HEAT = 0.15
MOST = 40
OVERLAP = 0.5
HEAT_FLOOR = 1e-6


@dataclass(frozen=True)
class Told:
    """What the camera tells: boxes in cropped pixels, and where they stand from the camera's own place."""

    edges_N4: Floats
    bearing_N: Floats
    """rad to the left of ahead."""
    half_angle_N: Floats
    """Half of the angle that it fills."""
    far_N: Floats
    far_sigma_N: Floats
    kind_N: Ints
    heat_N: Floats

    def __len__(self) -> int:
        return len(self.heat_N)


def load(path: Path = WEIGHTS) -> bytes:
    """The file's bytes, if they are what its json says."""
    return checked(path, ("DETECTOR_MISSING", "DETECTOR_DIGEST"), "agentforge.phase7_adas.drive.perception.remake")


class Detector:
    def __init__(self, path: Path = WEIGHTS, spec: CameraSpec = SPECS.camera) -> None:
        self._session = session(load(path))
        self.spec = spec
        self.distance_sigma = 0.12
        """Relative; near the horizon a pixel's worth of metres is added."""
        self.tell(np.zeros(spec.shape, dtype=np.uint8))  # the first look lays out memory: not in a tick

    def tell(self, image_HW: NDArray[np.uint8]) -> Told:
        maps = self._session.run(None, {"picture": cropped(image_HW)[None, None]})[0][0]
        return decode(maps, self.spec, self.distance_sigma)


def decode(maps_CHW: NDArray[np.float32], spec: CameraSpec, distance_sigma: float) -> Told:
    """Peaks of each class's heat over their eight neighbours; of boxes that overlap, the hottest stays."""
    heat = maps_CHW[: len(CLASSES)]
    layer, row, column = _peaks(heat)
    warm = heat[layer, row, column].astype(np.float64)
    order = np.argsort(-warm, kind="stable")[:MOST]
    layer, row, column, warm = layer[order], row[order], column[order], warm[order]
    told = maps_CHW[:, row, column].astype(np.float64)
    middle_c = (column + 0.5 + told[OFF_COLUMN]) * STRIDE
    middle_r = (row + 0.5 + told[OFF_ROW]) * STRIDE
    wide = SIZE_UNIT_PX * np.exp(np.clip(told[LOG_WIDE], -5.0, 4.0))
    high = SIZE_UNIT_PX * np.exp(np.clip(told[LOG_HIGH], -5.0, 3.0))
    far = FAR_UNIT_M * np.exp(np.clip(told[LOG_FAR], -4.0, 2.0))
    edges = np.stack([middle_c - wide / 2, middle_r - high / 2, middle_c + wide / 2, middle_r + high / 2], axis=1)
    kept = _best(edges)
    edges, far, layer, warm = edges[kept], far[kept], layer[kept], warm[kept]
    left, right = (np.arctan((spec.shape[1] / 2 - edges[:, side]) / spec.focal_px) for side in (0, 2))
    pixel = far**2 / (spec.focal_px * spec.mount_z_m)  # metres that one row is worth on the ground
    sigma = np.hypot(distance_sigma * far, 0.5 * np.minimum(pixel, far))
    kinds = np.array([int(kind) for kind in CLASSES], dtype=np.int64)[layer]
    return Told(edges, (left + right) / 2, (left - right) / 2, far, np.maximum(sigma, 0.5), kinds, warm)


def _peaks(heat_CHW: NDArray[np.float32]) -> tuple[Ints, Ints, Ints]:
    """Layers, rows and columns of what is warm, and no cooler than its eight neighbours."""
    layers, rows, columns = heat_CHW.shape
    warm = np.flatnonzero(heat_CHW >= LEAST_HEAT)
    padded = np.zeros((layers, rows + 2, columns + 2), dtype=heat_CHW.dtype)
    padded[:, 1:-1, 1:-1] = heat_CHW
    layer, row, column = np.unravel_index(warm, heat_CHW.shape)
    here = (layer * (rows + 2) + row + 1) * (columns + 2) + column + 1
    beside = np.add.outer(np.arange(-1, 2) * (columns + 2), np.arange(-1, 2)).ravel()
    around = padded.ravel().take(here[:, None] + beside)
    top = around[:, 4] >= around.max(axis=1, initial=0.0)
    return layer[top], row[top], column[top]


def _best(edges_N4: Floats) -> NDArray[np.intp]:
    """Boxes come hottest first; one that overlaps a kept one goes."""
    if len(edges_N4) == 0:
        return np.zeros(0, dtype=np.intp)
    low = np.maximum(edges_N4[:, None, :2], edges_N4[None, :, :2])
    top = np.minimum(edges_N4[:, None, 2:], edges_N4[None, :, 2:])
    both = np.maximum(top - low, 0.0)
    shared = both[..., 0] * both[..., 1]
    area = shared.diagonal()
    over = shared / (area[:, None] + area[None] - shared + 1e-9) > OVERLAP
    kept = np.ones(len(edges_N4), dtype=bool)
    for each in np.flatnonzero(np.triu(over, 1).any(axis=1)):
        if kept[each]:
            kept[each + 1 :] &= ~over[each, each + 1 :]
    return np.nonzero(kept)[0]
