"""What is really there: bodies, and one instant of the world. Agents never see it; scoring does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# columns of Bodies.state_N6
X, Y, HEADING, SPEED, ACCEL, YAW_RATE = range(6)
# columns of Bodies.size_N3
LENGTH, WIDTH, HEIGHT = range(3)

EGO_ID = 0


class Kind(IntEnum):
    """What a body is. Detectors tell the first three; OBSTACLE is anything else that stands there."""

    VEHICLE = 0
    CYCLIST = 1
    PEDESTRIAN = 2
    OBSTACLE = 3


@dataclass(frozen=True)
class Bodies:
    """N bodies, sorted by id."""

    id_N: Ints
    kind_N: Ints
    state_N6: Floats
    size_N3: Floats

    def __len__(self) -> int:
        return len(self.id_N)


@dataclass(frozen=True)
class Weather:
    """Each from 0 (none) to 1 (as bad as the generator makes it)."""

    rain: float = 0.0
    fog: float = 0.0
    darkness: float = 0.0
    glare: float = 0.0


@dataclass(frozen=True)
class Truth:
    """One instant. `others` has everybody but the ego."""

    t_us: int
    ego_6: Floats
    ego_size_3: Floats
    others: Bodies
    weather: Weather


def corners_N42(state_N6: Floats, size_N3: Floats) -> Floats:
    """The corners of the boxes on the ground, counter-clockwise from the front left."""
    half_length, half_width = size_N3[:, LENGTH] / 2, size_N3[:, WIDTH] / 2
    along = np.stack([half_length, -half_length, -half_length, half_length], axis=1)
    across = np.stack([half_width, half_width, -half_width, -half_width], axis=1)
    cos, sin = np.cos(state_N6[:, HEADING, None]), np.sin(state_N6[:, HEADING, None])
    x = state_N6[:, X, None] + along * cos - across * sin
    y = state_N6[:, Y, None] + along * sin + across * cos
    return np.stack([x, y], axis=2)


def to_ego(xy_N2: Floats, ego_6: Floats) -> Floats:
    """Points of the world in the frame of a body with this state."""
    dx, dy = xy_N2[:, 0] - ego_6[X], xy_N2[:, 1] - ego_6[Y]
    cos, sin = np.cos(ego_6[HEADING]), np.sin(ego_6[HEADING])
    return np.stack([dx * cos + dy * sin, dy * cos - dx * sin], axis=1)


def to_world(xy_N2: Floats, ego_6: Floats) -> Floats:
    cos, sin = np.cos(ego_6[HEADING]), np.sin(ego_6[HEADING])
    x = ego_6[X] + xy_N2[:, 0] * cos - xy_N2[:, 1] * sin
    y = ego_6[Y] + xy_N2[:, 0] * sin + xy_N2[:, 1] * cos
    return np.stack([x, y], axis=1)
