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
_FROM_NOW_T: Final[Floats] = np.concatenate([[0.0], AHEAD_T])
RETURN_S: Final = 1.0
"""Time constant of coming back to the lane's centre, and of changing lanes."""
_RETURNED_T: Final[Floats] = np.exp(-AHEAD_T / RETURN_S)
FADE_S: Final = 1.5
"""Time constant with which a felt acceleration or turning is taken to end."""
_TURNED_T: Final[Floats] = 1.0 - np.exp(-(AHEAD_T - PREDICTION_STEP_S / 2) / FADE_S)
_FADING_T: Final[Floats] = FADE_S * (1.0 - np.exp(-_FROM_NOW_T / FADE_S))
HARDEST_TURN: Final = 0.8
BRAKE_BY_KIND: Final[Floats] = np.array([3.0, 1.5, 1.0, 1.0])
SPEED_UP_BY_KIND: Final[Floats] = np.array([1.5, 0.8, 0.8, 0.5])
_BRAKED_BY_KIND_T: Final[Floats] = -BRAKE_BY_KIND[:, None] * _FROM_NOW_T
_SPED_UP_BY_KIND_T: Final[Floats] = SPEED_UP_BY_KIND[:, None] * _FROM_NOW_T
TOP_BY_KIND: Final[Floats] = np.array([40.0, 9.0, 2.5, 2.0])
HEADWAY_S, STANDING_M, COMFORT_MPS2 = 1.4, 2.0, 2.0
"""Of the intelligent driver model (Treiber 2000), by which one that follows another is taken to brake."""
_BRAKING_BY_KIND: Final[Floats] = 2 * np.sqrt(SPEED_UP_BY_KIND * COMFORT_MPS2)
_LEFT_22: Final[Floats] = np.array([[0.0, 1.0], [-1.0, 0.0]])


class Way(IntEnum):
    """Modes of the IMM. For what follows no lane, LANE goes along the road and CHANGE straight across."""

    KEEP = 0
    TURN = 1
    BRAKE = 2
    ACCELERATE = 3
    LANE = 4
    CHANGE = 5


WAYS: Final = len(Way)
# enumerations are slow to read in what runs every tick; those from _BRAKE on are led by a lane
_TURN, _BRAKE, _ACCELERATE, _LANE, _CHANGE = map(int, list(Way)[1:])


def following(places: Places, limit_mps: float, kind_N: Ints) -> Floats:
    """Acceleration of the driver model: what the lane's leader and the limit make of its speed."""
    speed = np.maximum(places.forward_N, 0.0)
    wanted = np.maximum(np.minimum(limit_mps, TOP_BY_KIND[kind_N]), speed)
    braking = speed * places.closing_N / _BRAKING_BY_KIND[kind_N]
    room = STANDING_M + np.maximum(0.0, speed * HEADWAY_S + braking)
    pull = np.where(places.gap_N < FREE_M, (room / np.maximum(places.gap_N, 1.0)) ** 2, 0.0)
    rise = SPEED_UP_BY_KIND[kind_N] * (1.0 - (speed / np.maximum(wanted, 0.1)) ** 4 - pull)
    return between(rise, -6.0, 0.0)


def pushes(mean_N4: Floats, kind_N: Ints, turn_N: Floats, places: Places, follow_N: Floats) -> Floats:
    """World acceleration that each way means now (N, K, 2)."""
    speed_N, speed_N1, velocity_N2 = places.speed_N, places.speed_N[:, None], mean_N4[:, 2:]
    road_N2 = _unit(places.heading_N)
    unit = np.where(speed_N1 > 0.2, velocity_N2 / np.maximum(speed_N1, 1e-3), road_N2)
    left = unit @ _LEFT_22
    push = np.zeros((len(mean_N4), WAYS, 2))
    push[:, _TURN] = (between(turn_N, -HARDEST_TURN, HARDEST_TURN) * speed_N)[:, None] * left
    push[:, _BRAKE] = -(BRAKE_BY_KIND[kind_N] * (speed_N > 0.3))[:, None] * unit
    push[:, _ACCELERATE] = SPEED_UP_BY_KIND[kind_N][:, None] * unit
    # LANE and CHANGE at once
    side = _unit(places.heading_N + np.pi / 2) * places.along_N[:, None]  # the road's left
    bend = (places.curvature_N * speed_N**2)[:, None] * left
    off_N2 = places.d_N[:, None] - _targets(places)
    back_N2 = between((-2 / RETURN_S * places.sideways_N)[:, None] - off_N2 / RETURN_S**2, -2.0, 2.0)
    led_N22 = bend[:, None] + back_N2[:, :, None] * side[:, None] + (follow_N[:, None] * unit)[:, None]
    walks_N22 = np.empty(led_N22.shape)
    walks_N22[:, 0], walks_N22[:, 1] = road_N2, np.sign(places.sideways_N)[:, None] * side
    turned_N22 = (walks_N22 * speed_N1[:, None] - velocity_N2[:, None]) / RETURN_S
    push[:, _LANE:] = np.where(places.bound_N[:, None, None], led_N22, turned_N22)
    return push


def paths(
    mean_N4: Floats, kind_N: Ints, felt_N: Floats, turn_N: Floats, places: Places, follow_N: Floats, road: Road
) -> Floats:
    """xy (N, K, T, 2) of each way, from the tracks' means on."""
    far_NKT = _distances(kind_N, felt_N, places, follow_N, road.speed_limit_mps)
    start = np.where(places.speed_N > 0.3, np.arctan2(mean_N4[:, 3], mean_N4[:, 2]), places.heading_N)
    heading_NKT = np.empty(far_NKT.shape)
    heading_NKT[:] = (start + 0.0)[:, None, None]
    heading_NKT[:, _TURN] += between(turn_N, -HARDEST_TURN, HARDEST_TURN)[:, None] * FADE_S * _TURNED_T
    heading_NKT[:, _LANE] = places.heading_N[:, None]
    across = places.heading_N + np.where(places.sideways_N * places.along_N >= 0, np.pi / 2, -np.pi / 2)
    heading_NKT[:, _CHANGE] = across[:, None]
    step_NKT = far_NKT.copy()
    step_NKT[:, :, 1:] -= far_NKT[:, :, :-1]
    free = np.empty((*step_NKT.shape, 2))
    np.cumsum(step_NKT * np.cos(heading_NKT), 2, out=free[..., 0])
    np.cumsum(step_NKT * np.sin(heading_NKT), 2, out=free[..., 1])
    free += mean_N4[:, None, None, :2]
    # a lane on the inside of a bend is shorter than the reference line
    bend_N = places.curvature_N * places.along_N
    stretch_N = places.along_N / between(1.0 - bend_N * places.d_N, 0.5, 2.0)
    s = places.s_N[:, None, None] + stretch_N[:, None, None] * far_NKT[:, _BRAKE:]
    d, d_N2T = np.empty(s.shape), _sideways(places)
    d[:, :2], d[:, 2:] = d_N2T[:, :1], d_N2T
    bound = places.bound_N.nonzero()[0]
    on_road = road.to_world(s[bound].ravel(), d[bound].ravel())
    free[bound, _BRAKE:] = on_road.reshape(len(bound), *s.shape[1:], 2)
    return free


def _distances(kind_N: Ints, felt_N: Floats, places: Places, follow_N: Floats, limit_mps: float) -> Floats:
    """Metres driven by each way after each step, never backwards."""
    gain_NKT = np.zeros((len(kind_N), WAYS, len(_FROM_NOW_T)))
    gain_NKT[:, _TURN] = felt_N[:, None] * _FADING_T
    gain_NKT[:, _BRAKE] = _BRAKED_BY_KIND_T[kind_N]
    gain_NKT[:, _ACCELERATE] = _SPED_UP_BY_KIND_T[kind_N]
    steady = np.where(places.bound_N & (follow_N < -0.2), np.minimum(felt_N, follow_N), felt_N)
    gain_NKT[:, _LANE] = steady[:, None] * _FADING_T
    top = TOP_BY_KIND[kind_N]
    top = np.maximum(np.where(places.bound_N, np.minimum(limit_mps * 1.1, top), top), places.speed_N)
    speed_NKT = between(places.speed_N[:, None, None] + gain_NKT, 0.0, top[:, None, None])
    return np.cumsum((speed_NKT[:, :, 1:] + speed_NKT[:, :, :-1]) / 2 * PREDICTION_STEP_S, axis=2)


def _sideways(places: Places) -> Floats:
    """d (N, 2, T) of LANE and CHANGE after each step: critically damped towards the target; one that stands stays
    where it is."""
    target_N2 = _targets(places)
    off_N2 = places.d_N[:, None] - target_N2
    swing_N2 = places.sideways_N[:, None] + off_N2 / RETURN_S
    d_N2T = target_N2[:, :, None] + (off_N2[:, :, None] + swing_N2[:, :, None] * AHEAD_T) * _RETURNED_T
    return np.where(places.speed_N[:, None, None] > 0.5, d_N2T, places.d_N[:, None, None])


def _targets(places: Places) -> Floats:
    """d (N, 2) where LANE and CHANGE end."""
    made = np.empty((len(places.d_N), 2))
    made[:, 0], made[:, 1] = places.lane_d_N, places.next_d_N
    return made


def between(values: Floats, least: float, most: float | Floats) -> Floats:
    """np.clip, in a third of its time."""
    return np.minimum(np.maximum(values, least), most)


def _unit(heading_N: Floats) -> Floats:
    made = np.empty((len(heading_N), 2))
    np.cos(heading_N, out=made[:, 0])
    np.sin(heading_N, out=made[:, 1])
    return made
