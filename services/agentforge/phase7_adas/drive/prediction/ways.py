"""The ways that the IMM reckons with: the push each gives now, and the path it makes of the next seconds."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.messages import PREDICTION_STEP_S, PREDICTION_STEPS
from agentforge.phase7_adas.drive.prediction.places import FREE_M, Places
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import Floats, Ints

AHEAD_T: Final = np.arange(1, PREDICTION_STEPS + 1, dtype=np.float64) * PREDICTION_STEP_S
RETURN_S: Final = 1.0
"""Time constant of coming back to the lane's centre, and of changing lanes."""
_RETURNED_T: Final[Floats] = np.exp(-AHEAD_T / RETURN_S)
FADE_S: Final = 1.5
"""Time constant with which a felt acceleration or turning is taken to end."""
_TURNED_T: Final[Floats] = 1.0 - np.exp(-(AHEAD_T - PREDICTION_STEP_S / 2) / FADE_S)
HARDEST_TURN: Final = 0.8
BRAKE_BY_KIND: Final[Floats] = np.array([3.0, 1.5, 1.0, 1.0])
SPEED_UP_BY_KIND: Final[Floats] = np.array([1.5, 0.8, 0.8, 0.5])
TOP_BY_KIND: Final[Floats] = np.array([40.0, 9.0, 2.5, 2.0])
HEADWAY_S, STANDING_M, COMFORT_MPS2 = 1.4, 2.0, 2.0
"""Of the intelligent driver model (Treiber 2000), by which one that follows another is taken to brake."""


class Way(IntEnum):
    """Modes of the IMM. For what follows no lane, LANE goes along the road and CHANGE straight across."""

    KEEP = 0
    TURN = 1
    BRAKE = 2
    ACCELERATE = 3
    LANE = 4
    CHANGE = 5


WAYS: Final = len(Way)


def following(places: Places, limit_mps: float, kind_N: Ints) -> Floats:
    """Acceleration of the driver model: what the lane's leader and the limit make of its speed."""
    speed = np.maximum(places.forward_N, 0.0)
    wanted = np.maximum(np.minimum(limit_mps, TOP_BY_KIND[kind_N]), speed)
    room = STANDING_M + np.maximum(
        0.0, speed * HEADWAY_S + speed * places.closing_N / (2 * np.sqrt(SPEED_UP_BY_KIND[kind_N] * COMFORT_MPS2))
    )
    pull = np.where(places.gap_N < FREE_M, (room / np.maximum(places.gap_N, 1.0)) ** 2, 0.0)
    rise = SPEED_UP_BY_KIND[kind_N] * (1.0 - (speed / np.maximum(wanted, 0.1)) ** 4 - pull)
    return np.clip(rise, -6.0, 0.0)


def pushes(mean_N4: Floats, kind_N: Ints, turn_N: Floats, places: Places, follow_N: Floats) -> Floats:
    """World acceleration that each way means now (N, K, 2)."""
    speed = np.maximum(places.speed_N, 1e-3)[:, None]
    unit = np.where(places.speed_N[:, None] > 0.2, mean_N4[:, 2:] / speed, _unit(places.heading_N))
    left = unit @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    push = np.zeros((len(mean_N4), WAYS, 2))
    push[:, Way.TURN] = (np.clip(turn_N, -HARDEST_TURN, HARDEST_TURN) * places.speed_N)[:, None] * left
    push[:, Way.BRAKE] = -(BRAKE_BY_KIND[kind_N] * (places.speed_N > 0.3))[:, None] * unit
    push[:, Way.ACCELERATE] = SPEED_UP_BY_KIND[kind_N][:, None] * unit
    side = _unit(places.heading_N + np.pi / 2) * places.along_N[:, None]  # the road's left
    bend = (places.curvature_N * places.speed_N**2)[:, None] * left
    for way, target in ((Way.LANE, places.lane_d_N), (Way.CHANGE, places.next_d_N)):
        back = -2 / RETURN_S * places.sideways_N - (places.d_N - target) / RETURN_S**2
        led = bend + np.clip(back, -2.0, 2.0)[:, None] * side + follow_N[:, None] * unit
        walks = _unit(places.heading_N) if way == Way.LANE else np.sign(places.sideways_N)[:, None] * side
        turned = (walks * places.speed_N[:, None] - mean_N4[:, 2:]) / RETURN_S
        push[:, way] = np.where(places.bound_N[:, None], led, turned)
    return push


def paths(
    mean_N4: Floats, kind_N: Ints, felt_N: Floats, turn_N: Floats, places: Places, follow_N: Floats, road: Road
) -> Floats:
    """xy (N, K, T, 2) of each way, from the tracks' means on."""
    far_NKT = _distances(kind_N, felt_N, places, follow_N, road.speed_limit_mps)
    start = np.where(places.speed_N > 0.3, np.arctan2(mean_N4[:, 3], mean_N4[:, 2]), places.heading_N)
    heading_NKT = np.repeat(start[:, None, None], WAYS, 1) + np.zeros(len(AHEAD_T))
    turn = np.clip(turn_N, -HARDEST_TURN, HARDEST_TURN)[:, None]
    heading_NKT[:, Way.TURN] += turn * FADE_S * _TURNED_T
    heading_NKT[:, Way.LANE] = places.heading_N[:, None]
    across = places.heading_N + np.where(places.sideways_N * places.along_N >= 0, np.pi / 2, -np.pi / 2)
    heading_NKT[:, Way.CHANGE] = across[:, None]
    step_NKT = far_NKT.copy()
    step_NKT[:, :, 1:] -= far_NKT[:, :, :-1]
    free = np.empty((*step_NKT.shape, 2))
    np.cumsum(step_NKT * np.cos(heading_NKT), 2, out=free[..., 0])
    np.cumsum(step_NKT * np.sin(heading_NKT), 2, out=free[..., 1])
    free += mean_N4[:, None, None, :2]
    led = [Way.BRAKE, Way.ACCELERATE, Way.LANE, Way.CHANGE]
    # a lane on the inside of a bend is shorter than the reference line
    bend_N = places.curvature_N * places.along_N
    stretch_N = places.along_N / np.clip(1.0 - bend_N * places.d_N, 0.5, 2.0)
    s = places.s_N[:, None, None] + stretch_N[:, None, None] * far_NKT[:, led]
    d = np.empty_like(s)
    d[:, :3], d[:, 3] = _sideways(places, places.lane_d_N)[:, None], _sideways(places, places.next_d_N)
    bound = np.flatnonzero(places.bound_N)
    on_road = road.to_world(s[bound].ravel(), d[bound].ravel()).reshape(len(bound), len(led), len(AHEAD_T), 2)
    free[bound[:, None], np.array(led)[None]] = on_road
    return free


def _distances(kind_N: Ints, felt_N: Floats, places: Places, follow_N: Floats, limit_mps: float) -> Floats:
    """Metres driven by each way after each step, never backwards."""
    speed_N11 = places.speed_N[:, None, None]
    t = np.concatenate([[0.0], AHEAD_T])
    fading_T = FADE_S * (1.0 - np.exp(-t / FADE_S))
    gain_NKT = np.zeros((len(kind_N), WAYS, len(t)))
    gain_NKT[:, Way.TURN] = felt_N[:, None] * fading_T
    gain_NKT[:, Way.BRAKE] = -BRAKE_BY_KIND[kind_N][:, None] * t
    gain_NKT[:, Way.ACCELERATE] = SPEED_UP_BY_KIND[kind_N][:, None] * t
    steady = np.where(places.bound_N & (follow_N < -0.2), np.minimum(felt_N, follow_N), felt_N)
    gain_NKT[:, Way.LANE] = steady[:, None] * fading_T
    top = np.maximum(
        np.where(places.bound_N, np.minimum(limit_mps * 1.1, TOP_BY_KIND[kind_N]), TOP_BY_KIND[kind_N]),
        places.speed_N,
    )
    speed_NKT = np.clip(speed_N11 + gain_NKT, 0.0, top[:, None, None])
    return np.cumsum((speed_NKT[:, :, 1:] + speed_NKT[:, :, :-1]) / 2 * PREDICTION_STEP_S, axis=2)


def _sideways(places: Places, target_N: Floats) -> Floats:
    """d after each step: critically damped towards the target; one that stands stays where it is."""
    off = places.d_N - target_N
    swing = (places.sideways_N + off / RETURN_S)[:, None]
    d = target_N[:, None] + (off[:, None] + swing * AHEAD_T) * _RETURNED_T
    return np.where(places.speed_N[:, None] > 0.5, d, places.d_N[:, None])


def _unit(heading_N: Floats) -> Floats:
    made = np.empty((len(heading_N), 2))
    np.cos(heading_N, out=made[:, 0])
    np.sin(heading_N, out=made[:, 1])
    return made
