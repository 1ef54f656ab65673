"""Detections as measurements in the world's frame; what is no measurement is left out and counted."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.messages import Detections, Ego
from agentforge.phase7_adas.drive.sensors.spec import SPECS
from agentforge.phase7_adas.drive.truth import HEADING, SPEED, YAW_RATE, Floats, Ints, Kind, X, Y

MOST: Final = 128
"""More detections than this are a fault of their maker; the most confident are kept."""
FARTHEST_M: Final = 400.0
SIGMA_FLOOR_M: Final = 0.1
SIGMA_CEILING_M: Final = 20.0
FASTEST_MPS: Final = 120.0
FLOOR_22: Final[Floats] = np.eye(2) * SIGMA_FLOOR_M**2
ASIDE_22: Final[Floats] = np.array([[0.0, 1.0], [-1.0, 0.0]])
ABOVE, BELOW = np.inf, -np.inf
# One detection's numbers lie between these, ends included: x, y; size; variances; kind, confidence, sources, depth.
LEAST_11: Final[Floats] = np.array(
    [-FARTHEST_M] * 2
    + [np.nextafter(0.0, ABOVE)] * 3
    + [np.nextafter(SIGMA_FLOOR_M**2 / 100, ABOVE)] * 2
    + [0.0] * 4
)
MOST_11: Final[Floats] = np.array(
    [FARTHEST_M] * 2 + [30.0] * 3 + [np.nextafter(SIGMA_CEILING_M**2, BELOW)] * 2
    + [np.nextafter(len(Kind), BELOW), 1.0, np.nextafter(16, BELOW), 30.0]
)  # fmt: skip
SHAPES: Final[tuple[tuple[int, ...], ...]] = ((2,), (2, 2), (3,), (), (), (), (), (), ())
"""Of one detection's columns."""


@dataclass(frozen=True)
class Measured:
    """M detections in the world's frame at `t_us`."""

    t_us: int
    xy_M2: Floats
    cov_M22: Floats
    size_M3: Floats
    kind_M: Ints
    confidence_M: Floats
    rate_M: Floats
    """Over ground, along the radar's beam; NaN without radar."""
    sources_M: Ints
    depth_M: Floats
    beam_M2: Floats
    """Unit vectors of the radar's beam in the world."""
    sight_M2: Floats
    """Unit vectors from the ego to them."""
    ego_6: Floats

    def __len__(self) -> int:
        return len(self.confidence_M)


def measured(detections: Detections, ego: Ego, counts: Counter[str]) -> Measured:
    """Never raises: what has the wrong shape is refused whole, what is not finite by the row."""
    columns = _columns(detections)
    if columns is None:
        counts["detections/garbage"] += 1
        columns = _nothing()
    good = _plausible(columns)
    bad = len(good) - int(np.count_nonzero(good))
    counts["detections/bad row"] += bad
    if bad:
        columns = [column[good] for column in columns]
    if len(columns[0]) > MOST:
        counts["detections/too many"] += len(columns[0]) - MOST
        keep = np.sort(np.argsort(-columns[4], kind="stable")[:MOST])
        columns = [column[keep] for column in columns]
    xy, cov, size, kind, confidence, rate, sources, depth, echo = columns
    ego_6 = _moved(ego.state_6, (detections.t_us - ego.t_us) / 1e6)
    sin, cos = math.sin(ego_6[HEADING]), math.cos(ego_6[HEADING])
    turn = np.array([[cos, -sin], [sin, cos]])
    ahead, speed, yaw_rate = SPECS.radar.mount_x_m, ego_6[SPEED], ego_6[YAW_RATE]
    here = ego_6[: Y + 1]
    beam = np.empty(xy.shape)
    beam[:, 0], beam[:, 1] = np.cos(echo), np.sin(echo)
    beam[np.isnan(beam)] = 0.0
    rate = rate + beam @ np.array([speed, yaw_rate * ahead])
    sight = xy / np.maximum(np.hypot(xy[:, 0], xy[:, 1]), 0.1)[:, None]
    across = xy @ ASIDE_22
    heading_variance = min(float(ego.cov_66[HEADING, HEADING]), 0.05)
    cov = cov + FLOOR_22 + heading_variance * across[:, :, None] * across[:, None, :]
    return Measured(
        detections.t_us, here + xy @ turn.T, turn @ cov @ turn.T, size, kind.astype(np.int64), confidence, rate,
        sources.astype(np.int64), depth, beam @ turn.T, sight @ turn.T, ego_6,
    )  # fmt: skip


def _nothing() -> list[Floats]:
    return [np.zeros((0, *shape)) for shape in SHAPES]


def _columns(detections: Detections) -> list[Floats] | None:
    d = detections
    given = (
        d.xy_N2,
        d.cov_N22,
        d.size_N3,
        d.kind_N,
        d.confidence_N,
        d.range_rate_N,
        d.sources_N,
        d.depth_N,
        d.echo_rad_N,
    )
    try:
        columns = [np.array(column, dtype=np.float64, order="C") for column in given]
    except (TypeError, ValueError):
        return None
    many = columns[0].shape[:1]
    wanted = [many + shape for shape in SHAPES]
    return columns if many and [column.shape for column in columns] == wanted else None


def _plausible(columns: list[Floats]) -> NDArray[np.bool_]:
    xy, cov, size, kind, confidence, rate, sources, depth, echo = columns
    with np.errstate(invalid="ignore", over="ignore"):
        variance = cov.diagonal(axis1=1, axis2=2)
        bounded = np.concatenate([xy, size, variance, np.array([kind, confidence, sources, depth]).T], axis=1)
        shared = cov[:, 0, 1]
        definite = (shared == cov[:, 1, 0]) & (shared * shared < variance[:, 0] * variance[:, 1])
        heard = np.isnan(rate) | ((np.abs(rate) <= FASTEST_MPS) & (np.abs(echo) <= math.pi))
        good: NDArray[np.bool_] = ((bounded >= LEAST_11) & (bounded <= MOST_11)).all(axis=1) & definite & heard
    return good


def _moved(ego_6: Floats, dt_s: float) -> Floats:
    """The ego a moment before or after, on its circle."""
    dt_s = min(max(dt_s, -1.0), 1.0)
    moved = ego_6.copy()
    middle = ego_6[HEADING] + ego_6[YAW_RATE] * dt_s / 2
    moved[X] += ego_6[SPEED] * dt_s * math.cos(middle)
    moved[Y] += ego_6[SPEED] * dt_s * math.sin(middle)
    moved[HEADING] += ego_6[YAW_RATE] * dt_s
    return moved
