"""The front camera: a flat road, a skyline, bodies in perspective, weather, and the sensor's noise.

Faces have soft edges, so a pixel is the mean over its area, as binning makes it. There are no shadows, no mirrors,
no blur by motion: what a detector reaches here says nothing about real images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.sensors.geometry import view
from agentforge.phase7_adas.drive.sensors.noise import plane
from agentforge.phase7_adas.drive.sensors.painting import Canvas, Lens, Light, paint_bodies
from agentforge.phase7_adas.drive.sensors.spec import CameraSpec
from agentforge.phase7_adas.drive.truth import HEADING, Floats, Truth, Weather, X, Y

ASPHALT, GRASS, MARK, SKY = 92.0, 70.0, 205.0, 185.0
SKYLINE_COLUMNS, SKYLINE_DEG = 2048, 360.0
MARK_M, DASH_M, GAP_M = 0.15, 4.0, 8.0


class Camera:
    """Keeps what is the same in every frame."""

    def __init__(self, spec: CameraSpec, road: Road | None = None) -> None:
        self.spec, self.road = spec, road
        height, width = spec.shape
        self._lens = Lens(spec.focal_px, height / 2, width / 2, spec.mount_z_m)
        self._horizon = (height + 1) // 2
        below = np.arange(self._horizon, height) + 0.5 - height / 2
        # metres of ground, by row below the horizon
        self._ahead = np.asarray(spec.focal_px * spec.mount_z_m / below, dtype=np.float64)
        self._columns = np.arange(width, dtype=np.float32)
        self._bearing = np.arctan((width / 2 - self._columns - 0.5) / spec.focal_px)
        self._skyline = _skyline()
        self._streaks = _streaks(height, width)
        across = (self._columns - width * 0.58) / width
        down = (np.arange(height)[:, None] - height * 0.42) / width
        self._glare = (260.0 * np.exp(-np.hypot(across, down) / 0.12)).astype(np.float32)

    def take(self, truth: Truth, rng: np.random.Generator, noise: float = 1.0) -> NDArray[np.uint8]:
        light = light_of(truth.weather)
        canvas = self._background(truth, light)
        paint_bodies(canvas, view(truth, self.spec.mount_x_m, self.spec.range_m + 20.0), self._lens, light)
        weather = truth.weather
        if weather.glare > 0.0:
            canvas += weather.glare * self._glare
        if weather.rain > 0.0:
            streaks = np.roll(self._streaks, int(rng.integers(0, self._streaks.shape[1])), axis=1)
            canvas += weather.rain * streaks * float(light.on(20.0))
        sigma = noise * self.spec.noise_levels / self.spec.binning * (1.0 + 2.0 * weather.darkness)
        canvas += np.float32(sigma) * plane(canvas.shape[0], canvas.shape[1], rng)
        np.clip(canvas, 0.0, 255.0, out=canvas)
        return canvas.astype(np.uint8)

    def _background(self, truth: Truth, light: Light) -> Canvas:
        height, width = self.spec.shape
        canvas = np.empty((height, width), dtype=np.float32)
        sky, ground = canvas[: self._horizon], canvas[self._horizon :]
        far = 400.0  # of the skyline
        through = float(light.through(far))
        sky[:] = SKY * light.ambient * through + light.air * (1.0 - through)
        degrees = np.degrees(truth.ego_6[HEADING] + self._bearing) % SKYLINE_DEG
        place = (degrees / SKYLINE_DEG * SKYLINE_COLUMNS).astype(np.int64) % SKYLINE_COLUMNS
        scale = self.spec.focal_px / 400.0
        high, tone = self._skyline[0, place] * scale, self._skyline[1, place]
        tall = min(int(high.max()) + 1, self._horizon)
        rows = np.arange(self._horizon - tall, self._horizon)[:, None]
        built = tone * light.ambient * through + light.air * (1.0 - through)
        band = sky[self._horizon - tall :]
        band[:] = np.where(self._horizon - rows <= high, built.astype(np.float32), band)
        ground[:] = ASPHALT
        if self.road is not None:
            self._paint_road(ground, truth, self.road)
        through_row = light.through(self._ahead)
        ground *= (light.on(self._ahead) * through_row).astype(np.float32)[:, None]
        ground += (light.air * (1.0 - through_row)).astype(np.float32)[:, None]
        return canvas

    def _paint_road(self, ground: Canvas, truth: Truth, road: Road) -> None:
        """Grass beside the road; whole lines at its edges, dashes between its lanes."""
        ego = truth.ego_6
        s_ego = float(road.to_road(np.array([[ego[X], ego[Y]]]))[0][0])
        s = s_ego + np.linspace(0.0, 160.0, 41)
        lines = np.arange(road.lanes + 1) * road.lane_width_m
        xy = road.to_world(np.tile(s, len(lines)), np.repeat(lines, len(s))).reshape(len(lines), len(s), 2)
        cos, sin = np.cos(ego[HEADING]), np.sin(ego[HEADING])
        dx, dy = xy[..., 0] - ego[X], xy[..., 1] - ego[Y]
        ahead, left = dx * cos + dy * sin - self.spec.mount_x_m, dy * cos - dx * sin
        ahead = np.maximum.accumulate(ahead, axis=1)
        middle, focal = self._lens.middle_column, self.spec.focal_px
        at = np.stack([np.interp(self._ahead, a, b) for a, b in zip(ahead, left, strict=True)])
        column = middle - focal * at / self._ahead  # line, row
        edges = column[[-1, 0]].astype(np.float32)[:, :, None]
        np.copyto(ground, np.float32(GRASS), where=(self._columns < edges[0]) | (self._columns > edges[1]))
        s_row = np.interp(self._ahead, ahead[0], s)
        drawn = np.ones_like(column, dtype=bool)
        drawn[1:-1] = s_row % (DASH_M + GAP_M) < DASH_M
        self._paint_marks(ground, column, drawn)

    def _paint_marks(self, ground: Canvas, column: Floats, drawn: NDArray[np.bool_]) -> None:
        half = self.spec.focal_px * MARK_M / 2 / self._ahead
        most = int(half.max()) + 1
        touched = np.floor(column)[..., None] + np.arange(-most, most + 1)
        cover = np.minimum(touched + 1, (column + half)[..., None]) - np.maximum(
            touched, (column - half)[..., None]
        )
        cover = np.clip(cover, 0.0, 1.0) * drawn[..., None]
        kept = (cover > 0.02) & (touched >= 0) & (touched < ground.shape[1])
        _, rows, _ = np.nonzero(kept)
        columns, part = touched[kept].astype(np.int64), cover[kept].astype(np.float32)
        ground[rows, columns] += part * (MARK - ground[rows, columns])


def light_of(weather: Weather) -> Light:
    ambient = 1.0 - 0.93 * weather.darkness
    haze = 0.0008 + 0.008 * weather.rain + 0.06 * weather.fog
    return Light(ambient, 0.75 * weather.darkness, haze, 190.0 * ambient)


def _skyline() -> Floats:
    """Height (pixels at a focal length of 400) and tone of trees and houses, by direction in the world."""
    rng = Rng(0, "adas/drive/sensors/skyline").numpy()
    height, tone = np.zeros(SKYLINE_COLUMNS), np.zeros(SKYLINE_COLUMNS)
    for _ in range(260):
        start, long = int(rng.integers(0, SKYLINE_COLUMNS)), int(rng.integers(3, 40))
        where = np.arange(start, start + long) % SKYLINE_COLUMNS
        height[where] = rng.uniform(2.0, 26.0) * np.where(rng.random() < 0.5, 1.0, rng.uniform(0.7, 1.0, long))
        tone[where] = rng.uniform(35.0, 150.0)
    return np.stack([height, tone])


def _streaks(height: int, width: int) -> Canvas:
    """Rain that falls through the picture."""
    rng = Rng(0, "adas/drive/sensors/streaks", height, width).numpy()
    made = np.zeros((height, width), dtype=np.float32)
    for _ in range(220):
        column, row = int(rng.integers(0, width)), int(rng.integers(0, height))
        made[row : row + int(rng.integers(4, 20) * height / 270), column] += rng.uniform(15.0, 60.0)
    return made
