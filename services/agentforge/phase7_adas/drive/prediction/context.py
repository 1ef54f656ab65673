"""What the language model is told of a track before it speaks: a few words, and the frame its motion is told in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.prediction.places import Places
from agentforge.phase7_adas.drive.prediction.tokens import MOTIONS
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import Floats, Ints

# A word's bins end at these; the words' vocabularies stand one after the other, behind the motions.
FORWARD_MPS: Final = (-1.5, -0.5, 0.2, 0.7, 1.2, 2.0, 3.5, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0, 18.0, 22.0)
SIDEWAYS_MPS: Final = (-2.0, -1.2, -0.6, -0.3, -0.1, 0.1, 0.3, 0.6, 1.2, 2.0)
OFF_CENTRE_M: Final = (-1.4, -1.0, -0.6, -0.2, 0.2, 0.6, 1.0, 1.4)
FROM_EDGE_M: Final = (-4.0, -2.5, -1.2, -0.3, 0.5, 1.5)
GAP_M: Final = (2.0, 4.0, 7.0, 11.0, 16.0, 24.0, 35.0, 50.0, 80.0, 150.0)
CLOSING_MPS: Final = (-4.0, -2.0, -0.7, 0.7, 2.0, 4.0, 7.0)
BELOW_LIMIT_MPS: Final = (-2.0, 0.0, 2.0, 5.0, 9.0)
FELT_MPS2: Final = (-4.0, -2.5, -1.2, -0.4, 0.4, 1.2)
FELT_SIDE_MPS2: Final = (-0.8, -0.3, 0.3, 0.8)
SIDE_LANE: Final = (-0.5, 0.5)
KINDS: Final = 8
ENDS: Final = (
    FORWARD_MPS, SIDEWAYS_MPS, OFF_CENTRE_M, FROM_EDGE_M, GAP_M, CLOSING_MPS, BELOW_LIMIT_MPS, FELT_MPS2,
    FELT_SIDE_MPS2, SIDE_LANE,
)  # fmt: skip
SIZES: Final = (KINDS, *(len(ends) + 1 for ends in ENDS))
WORDS: Final = len(SIZES)
STARTS: Final = MOTIONS + np.concatenate([[0], np.cumsum(SIZES)[:-1]])
VOCABULARY: Final = MOTIONS + sum(SIZES)


@dataclass(frozen=True)
class Frame:
    """The road's own, turned the way each track goes: x along, y to its left."""

    along_N: Floats
    s_N: Floats
    d_N: Floats
    velocity_N2: Floats


def frame(places: Places) -> Frame:
    velocity = np.stack([places.forward_N, places.sideways_N * places.along_N], axis=1)
    return Frame(places.along_N, places.s_N, places.d_N, velocity)


def into(frame: Frame, xy_NT2: Floats, road: Road) -> Floats:
    """World points in each track's frame."""
    s, d = road.to_road(xy_NT2.reshape(-1, 2))
    shape = xy_NT2.shape[:2]
    x = (s.reshape(shape) - frame.s_N[:, None]) * frame.along_N[:, None]
    return np.stack([x, (d.reshape(shape) - frame.d_N[:, None]) * frame.along_N[:, None]], axis=2)


def out_of(frame: Frame, points_NKT2: Floats, road: Road) -> Floats:
    along = frame.along_N[:, None, None]
    s = frame.s_N[:, None, None] + along * points_NKT2[..., 0]
    d = frame.d_N[:, None, None] + along * points_NKT2[..., 1]
    return road.to_world(s.ravel(), d.ravel()).reshape(points_NKT2.shape)


def words(places: Places, kind_N: Ints, accel_N2: Floats, road: Road) -> Ints:
    """Context tokens (N, WORDS)."""
    cos, sin = np.cos(places.heading_N), np.sin(places.heading_N)
    felt = accel_N2[:, 0] * cos + accel_N2[:, 1] * sin
    felt_side = accel_N2[:, 1] * cos - accel_N2[:, 0] * sin - places.curvature_N * places.forward_N**2
    beside = np.minimum(places.d_N, road.width_m - places.d_N)
    rows = [
        kind_N * 2 + places.bound_N,
        _bin(places.forward_N, FORWARD_MPS),
        _bin(places.sideways_N * places.along_N, SIDEWAYS_MPS),
        _bin((places.d_N - places.lane_d_N) * places.along_N, OFF_CENTRE_M),
        _bin(beside, FROM_EDGE_M),
        _bin(places.gap_N, GAP_M),
        _bin(places.closing_N, CLOSING_MPS),
        _bin(road.speed_limit_mps - places.speed_N, BELOW_LIMIT_MPS),
        _bin(felt, FELT_MPS2),
        _bin(felt_side, FELT_SIDE_MPS2),
        _bin((places.next_d_N - places.d_N) * places.along_N / road.lane_width_m, SIDE_LANE),
    ]
    told: Ints = np.stack(rows, axis=1).astype(np.int64) + STARTS
    return told


def _bin(values_N: Floats, ends: tuple[float, ...]) -> Ints:
    return np.searchsorted(np.array(ends), values_N)
