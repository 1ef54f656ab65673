"""Tracks as the monitor sees them beside the road: places, speeds and half extents, without the planner's help."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from agentforge.phase7_adas.drive.messages import PLAN_HEADING, VX, VY, Plan, Tracks
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import HEADING, LENGTH, SPEED, WIDTH, Floats, X, Y
from agentforge.phase7_adas.drive.world.limits import EGO_SIZE

HALF_LONG, HALF_WIDE = EGO_SIZE[0] / 2, EGO_SIZE[1] / 2
NEAR_M: Final = 120.0
EXISTS: Final = 0.5
SLOW_MPS: Final = 0.7
WAY_STEPS: Final = slice(2, 25, 2)
"""Of a plan: 0.2 to 2.4 s."""
BRAKING_S: Final = 0.3
"""Over this time others' deceleration is measured."""
Columns = tuple[list[float], list[float], list[float], list[float]]
_NO_WAY: Final[Floats] = np.zeros((0, 5))


class Other(NamedTuple):
    """A track near the ego, by the road's line. Plain numbers: there are few, and to ask arrays takes longer."""

    id: int
    kind: int
    sources: int
    """Source flags."""
    age_us: int
    existence: float
    long: float
    """Half its length."""
    wide: float
    """Half its width."""
    s: float
    d: float
    along: float
    across: float
    cos: float
    """Of its motion's direction less the road's; as if along the road while it hardly moves."""
    sin: float
    ahead: float
    """From front to rear, metres; negative where they are level."""
    aside: float
    """From side to side; negative where one is ahead of the other."""
    accel: float
    """Measured along the road; zero until known."""


class Way(NamedTuple):
    """The plan's rows WAY_STEPS by the road's line; empty without a plan."""

    s_T: Floats
    d_T: Floats
    turn_T: Floats
    """Heading less the road's."""


@dataclass(frozen=True)
class Around:
    """The ego and who is near it by the road's line: s, d, their speeds, gaps from box to box."""

    ego_s: float
    ego_d: float
    ego_along: float
    ego_across: float
    others: tuple[Other, ...]
    way: Way


class Surroundings:
    def __init__(self) -> None:
        self._speeds: dict[int, deque[tuple[int, float]]] = {}

    def step(self, road: Road, ego_6: Floats, tracks: Tracks, plan: Plan | None) -> Around:
        rows = _near(ego_6, tracks)
        way = plan.states_T5[WAY_STEPS] if plan is not None else _NO_WAY
        mean_N4, count = tracks.mean_N4.take(rows, axis=0), 1 + len(rows)
        s, d = road.to_road(np.concatenate((ego_6[None, :2], mean_N4[:, :2], way[:, :2])))
        heading = road.heading(s)
        turn = (float(ego_6[HEADING]) - float(heading[0]) + np.pi) % (2 * np.pi) - np.pi
        speed, cos, sin = float(ego_6[SPEED]), float(np.cos(turn)), float(np.sin(turn))
        others = self._others(
            tracks, rows, s[:count].tolist(), d[:count].tolist(), _motion(mean_N4, heading[1:count]), abs(sin)
        )
        return Around(
            float(s[0]), float(d[0]), speed * cos, speed * sin, others,
            Way(s[count:], d[count:], way[:, PLAN_HEADING] - heading[count:]),
        )  # fmt: skip

    def _others(
        self, tracks: Tracks, rows: list[int], s: list[float], d: list[float], motion_4N: Columns, ego_sin: float
    ) -> tuple[Other, ...]:
        """`s` and `d`: the ego's first."""
        along, across, cos, sin = motion_4N
        ids = tracks.id_N.take(rows).tolist()
        half_N3 = (tracks.size_N3.take(rows, axis=0) / 2).tolist()
        accel = self._accelerations(tracks.t_us, ids, along)
        half_wide = HALF_WIDE + HALF_LONG * ego_sin
        others = []
        for n, row in enumerate(rows):
            long, wide = half_N3[n][LENGTH], half_N3[n][WIDTH]
            reach_s = long * abs(cos[n]) + wide * abs(sin[n])
            reach_d = long * abs(sin[n]) + wide * abs(cos[n])
            ahead = s[n + 1] - s[0] - reach_s - HALF_LONG
            aside = abs(d[n + 1] - d[0]) - reach_d - half_wide
            others.append(Other(
                ids[n], int(tracks.kind_N[row]), int(tracks.sources_N[row]), int(tracks.age_us_N[row]),
                float(tracks.existence_N[row]), long, wide, s[n + 1], d[n + 1], along[n], across[n],
                cos[n], sin[n], ahead, aside, accel[n],
            ))  # fmt: skip
        return tuple(others)

    def _accelerations(self, t_us: int, ids: list[int], along: list[float]) -> list[float]:
        kept: dict[int, deque[tuple[int, float]]] = {}
        accel = []
        for track, speed in zip(ids, along, strict=True):
            known = self._speeds.get(track, deque())
            known.append((t_us, speed))
            while t_us - known[0][0] > BRAKING_S * 1e6:
                known.popleft()
            since = (t_us - known[0][0]) / 1e6
            accel.append((speed - known[0][1]) / since if since > BRAKING_S / 2 else 0.0)
            kept[track] = known
        self._speeds = kept
        return accel


def _near(ego_6: Floats, tracks: Tracks) -> list[int]:
    """Rows of the tracks that matter."""
    x, y = float(ego_6[X]), float(ego_6[Y])
    places = zip(tracks.mean_N4.tolist(), tracks.existence_N.tolist(), strict=True)
    return [
        row
        for row, ((px, py, _, _), exists) in enumerate(places)
        if abs(px - x) < NEAR_M and abs(py - y) < NEAR_M and exists > EXISTS
    ]


def _motion(mean_N4: Floats, heading_N: Floats) -> Columns:
    """Speeds along and across the road, cosine and sine of where that leads."""
    cos, sin = np.cos(heading_N), np.sin(heading_N)
    along = mean_N4[:, VX] * cos + mean_N4[:, VY] * sin
    across = mean_N4[:, VY] * cos - mean_N4[:, VX] * sin
    lean = np.where(np.hypot(along, across) > SLOW_MPS, np.arctan2(across, along), 0.0)
    return along.tolist(), across.tolist(), np.cos(lean).tolist(), np.sin(lean).tolist()
