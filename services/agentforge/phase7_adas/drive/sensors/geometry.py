"""Where bodies stand as one sensor sees them, and which hide which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentforge.phase7_adas.drive.truth import (
    HEADING,
    HEIGHT,
    LENGTH,
    SPEED,
    WIDTH,
    YAW_RATE,
    Bodies,
    Floats,
    Ints,
    Truth,
    X,
    Y,
)

HEIGHTS = np.array([0.3, 0.6, 0.9])  # of a body, at which it is asked whether it is hidden
ACROSS = np.linspace(0.08, 0.92, 7)  # of the angle that it fills


@dataclass(frozen=True)
class View:
    """Bodies in a sensor's frame: x ahead, y left, from the sensor's own place."""

    index_N: Ints
    """Rows of Truth.others."""
    id_N: Ints
    kind_N: Ints
    xy_N2: Floats
    heading_N: Floats
    size_N3: Floats
    velocity_N2: Floats
    """Relative to the sensor, which moves and turns with the ego, along the sensor's axes."""
    corners_N42: Floats

    def __len__(self) -> int:
        return len(self.id_N)


def view(truth: Truth, mount_x_m: float, range_m: float) -> View:
    """Bodies within range that are not wholly behind the sensor."""
    ego, others = truth.ego_6, truth.others
    cos, sin = np.cos(ego[HEADING]), np.sin(ego[HEADING])
    dx, dy = others.state_N6[:, X] - ego[X], others.state_N6[:, Y] - ego[Y]
    x, y = dx * cos + dy * sin - mount_x_m, dy * cos - dx * sin
    reach = np.hypot(others.size_N3[:, LENGTH], others.size_N3[:, WIDTH]) / 2
    kept = np.nonzero((x + reach > 0.0) & (np.hypot(x, y) - reach < range_m))[0]
    xy, size = np.stack([x[kept], y[kept]], axis=1), others.size_N3[kept]
    heading = others.state_N6[kept, HEADING] - ego[HEADING]
    speed = others.state_N6[kept, SPEED]
    own = np.array([ego[SPEED], ego[YAW_RATE] * mount_x_m])
    velocity = np.stack([speed * np.cos(heading), speed * np.sin(heading)], axis=1) - own
    corners = _corners(xy, heading, size)
    return View(kept, others.id_N[kept], others.kind_N[kept], xy, heading, size, velocity, corners)


def _corners(xy_N2: Floats, heading_N: Floats, size_N3: Floats) -> Floats:
    along = size_N3[:, LENGTH, None] / 2 * np.array([1.0, -1.0, -1.0, 1.0])
    across = size_N3[:, WIDTH, None] / 2 * np.array([1.0, 1.0, -1.0, -1.0])
    cos, sin = np.cos(heading_N)[:, None], np.sin(heading_N)[:, None]
    return np.stack([xy_N2[:, :1] + along * cos - across * sin, xy_N2[:, 1:] + along * sin + across * cos], axis=2)


def rays(seen: View, angles_R: Floats) -> tuple[Floats, Floats]:
    """Metres to where each ray enters and leaves each box on the plan, (N, R); inf where it misses."""
    cos, sin = np.cos(seen.heading_N)[:, None], np.sin(seen.heading_N)[:, None]
    from_x = -(seen.xy_N2[:, :1] * cos + seen.xy_N2[:, 1:] * sin)
    from_y = seen.xy_N2[:, :1] * sin - seen.xy_N2[:, 1:] * cos
    way_x, way_y = np.cos(angles_R), np.sin(angles_R)
    along, across = way_x * cos + way_y * sin, way_y * cos - way_x * sin
    with np.errstate(divide="ignore", invalid="ignore"):
        one, two = _slab(from_x, along, seen.size_N3[:, LENGTH, None] / 2)
        three, four = _slab(from_y, across, seen.size_N3[:, WIDTH, None] / 2)
    near, far = np.maximum(one, three), np.minimum(two, four)
    missed = ~(near <= far) | (far <= 0.0)
    near = np.maximum(near, 0.0)
    near[missed] = np.inf
    far[missed] = np.inf
    return near, far


def _slab(start: Floats, way: Floats, half: Floats) -> tuple[Floats, Floats]:
    first, second = (-half - start) / way, (half - start) / way
    return np.minimum(first, second), np.maximum(first, second)


def visible(seen: View, mount_z_m: float) -> tuple[Floats, Ints]:
    """Part of each body that nothing hides, from 0 to 1, and how many vehicles or other bodies hide its middle."""
    many = len(seen)
    if many == 0:
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    angle = np.arctan2(seen.corners_N42[:, :, 1], seen.corners_N42[:, :, 0])
    low, high = angle.min(axis=1), angle.max(axis=1)
    asked = low[:, None] + (high - low)[:, None] * ACROSS
    near = rays(seen, asked.ravel())[0].reshape(many, many, len(ACROSS))  # blocker, target, ray
    own = near[np.arange(many), np.arange(many)]
    ahead = near < np.where(np.isfinite(own), own, np.inf) - 0.05
    ahead[np.arange(many), np.arange(many)] = False
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(ahead, near / own, 0.0)
    aim = seen.size_N3[:, HEIGHT, None] * HEIGHTS - mount_z_m  # target, height
    over = mount_z_m + part[:, :, :, None] * aim[None, :, None, :]
    hidden = (ahead[..., None] & (over < seen.size_N3[:, HEIGHT, None, None, None])).any(axis=0)
    hidden |= ~np.isfinite(own)[..., None]
    return 1.0 - hidden.mean(axis=(1, 2)), ahead[:, :, len(ACROSS) // 2].sum(axis=0)


def no_bodies() -> Bodies:
    none = np.zeros(0, dtype=np.int64)
    return Bodies(none, none, np.zeros((0, 6)), np.zeros((0, 3)))
