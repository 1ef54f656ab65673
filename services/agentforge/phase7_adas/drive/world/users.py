"""The other road users as arrays in the road's frame, and how they move in one step."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.road import STEP_M, Road
from agentforge.phase7_adas.drive.scenarios.script import Actor, Manner
from agentforge.phase7_adas.drive.truth import (
    ACCEL,
    HEADING,
    LENGTH,
    SPEED,
    WIDTH,
    YAW_RATE,
    Floats,
    Ints,
    Kind,
    X,
    Y,
)

KEEP_LANE_S: Final = 0.8
"""Time constant of holding the middle of a lane."""
ACCEL_LAG_S: Final = 0.2
MAX_LATERAL_MPS2: Final = 4.0
MAX_CURVATURE_PER_M: Final = 0.2
SHORTEST_LOOK_M: Final = 3.0
MAX_TURN_IN_RAD: Final = 0.35
HARDEST_BRAKE_MPS2: Final = 8.0

BEYOND_M: Final = 600.0
"""How far the road is known for quick look-ups before its beginning and behind its end; then it goes straight."""
FIRST: Final = -round(BEYOND_M / STEP_M)

# free acceleration, comfortable braking (m/s2), time gap (s) and gap when standing (m) of drivers by IDM
_OF_CARS: Final = (1.8, 2.5, 1.3, 2.0)
_OF_CYCLISTS: Final = (1.0, 2.0, 1.0, 1.5)


class Users:
    """N road users, in the scenario's order; the id of the n-th is n + 1.

    `along` is +1 for those who go with s and -1 for those against it; `lean` is the heading against their own way
    along the road, so that across the road to the left of s is pi/2 for a walker.
    """

    def __init__(self, actors: tuple[Actor, ...], ego_s_m: float, road: Road, seed: int) -> None:
        self.road, self.count = road, len(actors)
        self._table, self._curvatures = _line_of(road)

        def column(values: list[float]) -> Floats:
            return np.array(values, dtype=np.float64)

        self.id_N: Ints = np.arange(1, self.count + 1, dtype=np.int64)
        self.kind_N: Ints = np.array([a.kind for a in actors], dtype=np.int64)
        self.size_N3 = np.array([a.size for a in actors], dtype=np.float64).reshape(-1, 3)
        self.s_N = column([ego_s_m + a.ahead_m for a in actors])
        self.d_N = column([a.d_m for a in actors])
        self.along_N = column([-1.0 if a.against else 1.0 for a in actors])
        self._half_turns_N = np.where(self.along_N < 0, 2 * np.pi, np.pi)
        self.speed_N = column([a.speed_mps for a in actors])
        self.accel_N = np.zeros(self.count)
        self.walks_N: NDArray[np.bool_] = np.array([a.manner is Manner.WALKS for a in actors], dtype=np.bool_)
        self.lean_N = np.where(self.walks_N, np.where(self.d_N > road.width_m / 2, -np.pi / 2, np.pi / 2), 0.0)
        self.drives_N: NDArray[np.bool_] = np.array([a.manner is Manner.DRIVES for a in actors], dtype=np.bool_)
        # what they mean to do; acts and lane changes write here
        self.wish_mps_N = column([a.speed_mps if a.wishes_mps is None else a.wishes_mps for a in actors])
        self.want_d_N = self.d_N.copy()
        self.side_s_N = np.full(self.count, KEEP_LANE_S)
        self.want_accel_N = np.zeros(self.count)
        self.until_mps_N = self.speed_N.copy()
        self.driver_N4 = self._drivers(actors, seed)

    def _drivers(self, actors: tuple[Actor, ...], seed: int) -> Floats:
        """Drivers differ: each of the four numbers within a tenth of its mean."""
        mean = np.array([_OF_CYCLISTS if a.kind == Kind.CYCLIST else _OF_CARS for a in actors]).reshape(-1, 4)
        draw = Rng(seed, "adas/drive/world/drivers").numpy().uniform(0.9, 1.1, mean.shape)
        return np.asarray(mean * draw, dtype=np.float64)

    def advance(self, steps: int, dt_s: float) -> Floats:
        """Drives on for some steps with what was decided; the states after each of them, shape (steps, N, 6).

        The kinematic bicycle in the road's frame, all steps at once: nobody decides or steers anew in between.
        """
        held = np.arange(1, steps + 1)[:, None]
        accel = self.want_accel_N + (self.accel_N - self.want_accel_N) * np.exp(-held * dt_s / ACCEL_LAG_S)
        speed = np.maximum(self.speed_N + np.cumsum(accel, axis=0) * dt_s, 0.0)
        # who drives to a speed that it was told holds it from then on
        low, high = np.minimum(self.speed_N, self.until_mps_N), np.maximum(self.speed_N, self.until_mps_N)
        speed = np.where(self.drives_N, speed, np.minimum(np.maximum(speed, low), high))
        before = np.concatenate([self.speed_N[None], speed[:-1]])
        accel = (speed - before) / dt_s
        path = (speed + before) / 2 * dt_s

        bend = self._steer(self._curvature(self.s_N) * self.along_N)
        # the road under each on the way: as if it went straight along it, which is near enough to look it up
        curvature = self._curvature(self.s_N + self.along_N * (np.cumsum(path, axis=0) - path / 2))
        road_turn_per_m = np.cos(self.lean_N) * self.along_N * curvature / (1.0 - curvature * self.d_N)
        turn = path * np.where(self.walks_N, 0.0, bend - road_turn_per_m)
        lean = self.lean_N + np.cumsum(turn, axis=0)
        middle = lean - turn / 2
        d = self.d_N + self.along_N * np.cumsum(path * np.sin(middle), axis=0)
        s = self.s_N + self.along_N * np.cumsum(path * np.cos(middle) / (1.0 - curvature * d), axis=0)

        arrived = ~self.drives_N & (speed[-1] == self.until_mps_N)
        self.want_accel_N = np.where(arrived, 0.0, self.want_accel_N)
        self.s_N, self.d_N, self.lean_N, self.speed_N, self.accel_N = s[-1], d[-1], lean[-1], speed[-1], accel[-1]
        return self._states(s, d, lean, speed, accel, bend)

    def _steer(self, road_bend_N: Floats) -> Floats:
        """Towards the wanted place beside the line, critically damped over the distance driven."""
        look = np.maximum(self.speed_N * self.side_s_N, SHORTEST_LOOK_M)
        aside = self.along_N * (self.d_N - self.want_d_N)
        lean = np.minimum(np.maximum(-aside / (2 * look), -MAX_TURN_IN_RAD), MAX_TURN_IN_RAD)
        bend = road_bend_N + (lean - self.lean_N) * 2 / look
        most = np.minimum(MAX_CURVATURE_PER_M, MAX_LATERAL_MPS2 / np.maximum(self.speed_N, 0.1) ** 2)
        return np.where(self.walks_N, 0.0, np.minimum(np.maximum(bend, -most), most))

    def _curvature(self, s: Floats) -> Floats:
        """Of the reference line, at the nearest sample: quick, and half a step off where it changes."""
        at = (s / STEP_M - (FIRST - 0.5)).astype(np.int64)
        return np.asarray(self._curvatures[np.minimum(np.maximum(at, 0), len(self._table) - 1)])

    def _line(self, s: Floats) -> Floats:
        """x, y and heading of the reference line at each s, in the last axis."""
        at = s / STEP_M - FIRST
        low = np.minimum(np.maximum(at.astype(np.int64), 0), len(self._table) - 2)
        part = (at - low)[..., None]
        return np.asarray(self._table[low] * (1.0 - part) + self._table[low + 1] * part)

    def _states(self, s: Floats, d: Floats, lean: Floats, speed: Floats, accel: Floats, bend_N: Floats) -> Floats:
        line = self._line(s)
        road_heading = line[..., 2]
        states = np.empty((*s.shape, 6))
        states[..., X] = line[..., 0] - d * np.sin(road_heading)
        states[..., Y] = line[..., 1] + d * np.cos(road_heading)
        states[..., HEADING] = np.remainder(road_heading + lean + self._half_turns_N, 2 * np.pi) - np.pi
        states[..., SPEED] = speed
        states[..., ACCEL] = accel
        states[..., YAW_RATE] = bend_N * speed
        return states

    def states_N6(self) -> Floats:
        return self._states(self.s_N, self.d_N, self.lean_N, self.speed_N, self.accel_N, np.zeros(self.count))

    def reach_N2(self) -> Floats:
        """Half extents along the road and across it."""
        cos, sin = np.abs(np.cos(self.lean_N)), np.abs(np.sin(self.lean_N))
        long, wide = self.size_N3[:, LENGTH] / 2, self.size_N3[:, WIDTH] / 2
        return np.stack([long * cos + wide * sin, long * sin + wide * cos], axis=1)

    def onward_N(self) -> Floats:
        """Speed along s, negative for those who come."""
        return np.asarray(self.along_N * self.speed_N * np.cos(self.lean_N))


@lru_cache(maxsize=64)
def _line_of(road: Road) -> tuple[Floats, Floats]:
    """x, y, heading, and the curvature of the reference line every STEP_M."""
    s = np.arange(FIRST, (road.length_m + BEYOND_M) / STEP_M) * STEP_M
    return np.column_stack([road.to_world(s, np.zeros(len(s))), road.heading(s)]), road.curvature(s)
