"""Random scenes that detectors learn from and are judged on. A split's scenes are drawn under its own name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import (
    HEADING,
    SPEED,
    YAW_RATE,
    Bodies,
    Floats,
    Kind,
    Truth,
    Weather,
    X,
    Y,
)

SPLITS = ("train", "calibration", "test")
EGO_SIZE = (4.5, 1.85, 1.5)
FAR_M = 150.0


@dataclass(frozen=True)
class Scene:
    """All go on as they do: constant speed, constant turning."""

    road: Road
    truth: Truth

    @property
    def bad_weather(self) -> bool:
        weather = self.truth.weather
        return max(weather.rain, weather.fog, weather.darkness, weather.glare) > 0.3

    def at(self, t_us: int) -> Truth:
        """Its truth stands at t_us = 0; a little before and after it is told by constant motion."""
        truth, seconds = self.truth, t_us * 1e-6
        ego = _moved(truth.ego_6[None], seconds)[0]
        others = truth.others
        moved = Bodies(others.id_N, others.kind_N, _moved(others.state_N6, seconds), others.size_N3)
        return Truth(t_us, ego, truth.ego_size_3, moved, truth.weather)


def _moved(state_N6: Floats, seconds: float) -> Floats:
    made = state_N6.copy()
    middle = state_N6[:, HEADING] + state_N6[:, YAW_RATE] * seconds / 2
    made[:, X] += state_N6[:, SPEED] * seconds * np.cos(middle)
    made[:, Y] += state_N6[:, SPEED] * seconds * np.sin(middle)
    made[:, HEADING] += state_N6[:, YAW_RATE] * seconds
    return made


def scene(split: str, seed: int, index: int) -> Scene:
    if split not in SPLITS:
        raise ValueError(f"{split!r} is no split; there are {', '.join(SPLITS)}")
    rng = Rng(seed, "adas/drive/perception/scenes", split, index).numpy()
    lanes = int(rng.integers(2, 5))
    bend = float(rng.choice([0.0, 0.0, 1.0]) * rng.uniform(-1 / 180, 1 / 180))
    road = Road(((30.0, 0.0), (400.0, bend)), lanes, oncoming=int(rng.integers(0, 2)))
    s_ego = float(rng.uniform(5.0, 60.0))
    lane = int(rng.integers(0, lanes - road.oncoming))
    d_ego = road.lane_centre_d(lane) + float(rng.normal(0.0, 0.3))
    ego = np.zeros(6)
    ego[:2] = road.to_world(np.array([s_ego]), np.array([d_ego]))[0]
    ego[HEADING] = float(road.heading(np.array([s_ego]))[0]) + rng.normal(0.0, 0.02)
    ego[SPEED] = rng.uniform(0.0, 28.0) if rng.random() < 0.85 else 0.0
    ego[YAW_RATE] = ego[SPEED] * float(road.curvature(np.array([s_ego]))[0])
    truth = Truth(0, ego, np.array(EGO_SIZE), _bodies(road, s_ego, d_ego, rng), _weather(rng))
    return Scene(road, truth)


def _weather(rng: np.random.Generator) -> Weather:
    if rng.random() < 0.5:
        return Weather(darkness=float(rng.uniform(0.0, 0.15)))
    drawn = rng.uniform(0.0, 1.0, 4) * (rng.random(4) < 0.45)
    return Weather(*(float(each) for each in drawn))


def _bodies(road: Road, s_ego: float, d_ego: float, rng: np.random.Generator) -> Bodies:
    """No two overlap, and none is in the ego."""
    wanted = [Kind.VEHICLE] * int(rng.integers(1, 8)) + [Kind.CYCLIST] * int(rng.integers(0, 4))
    wanted += [Kind.PEDESTRIAN] * int(rng.integers(0, 5)) + [Kind.OBSTACLE] * int(rng.integers(0, 2))
    ids = np.sort(rng.choice(np.arange(1, 4000), len(wanted), replace=False)).astype(np.int64)
    taken = [(s_ego, d_ego, 3.0)]
    state, size, kinds = [], [], []
    for kind in (wanted[each] for each in rng.permutation(len(wanted))):
        for _ in range(8):
            s, d, turn, speed = _place(kind, road, s_ego, rng)
            dims = _size(kind, rng)
            reach = float(np.hypot(dims[0], dims[1])) / 2
            if all(np.hypot(s - a, (d - b) * 1.6) > reach + c for a, b, c in taken):
                break
        else:
            continue
        taken.append((s, d, reach))
        xy = road.to_world(np.array([s]), np.array([d]))[0]
        heading = float(road.heading(np.array([s]))[0]) + turn
        state.append([xy[0], xy[1], heading, speed, 0.0, 0.0])
        size.append(dims)
        kinds.append(kind)
    if not state:
        return Bodies(ids[:0], ids[:0], np.zeros((0, 6)), np.zeros((0, 3)))
    return Bodies(ids[: len(state)], np.array(kinds, dtype=np.int64), np.array(state), np.array(size))


def _place(kind: Kind, road: Road, s_ego: float, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """s, d, heading against the road's, speed. Nearer places are likelier."""
    s = s_ego + 4.0 + (FAR_M - 4.0) * float(rng.random()) ** 1.3
    if kind is Kind.OBSTACLE:
        return s, float(rng.uniform(0.0, road.width_m)), float(rng.uniform(-np.pi, np.pi)), 0.0
    if kind is Kind.VEHICLE:
        if rng.random() < 0.2:  # parked beside the road
            return s, float(rng.choice([-1.3, road.width_m + 1.3])), float(rng.normal(0.0, 0.05)), 0.0
        lane = int(rng.integers(0, road.lanes))
        turn = np.pi if lane >= road.lanes - road.oncoming else 0.0
        turn += float(rng.normal(0.0, 0.04)) + (np.pi / 2 if rng.random() < 0.06 else 0.0)
        speed = float(rng.uniform(0.0, 28.0)) if rng.random() < 0.8 else 0.0
        return s, road.lane_centre_d(lane) + float(rng.normal(0.0, 0.3)), turn, speed
    if kind is Kind.CYCLIST:
        d = float(rng.uniform(0.2, 1.2)) if rng.random() < 0.6 else float(rng.uniform(-3.0, road.width_m + 3.0))
        turn = float(rng.normal(0.0, 0.1)) if rng.random() < 0.7 else float(rng.uniform(-np.pi, np.pi))
        return s, d, turn, float(rng.uniform(2.0, 8.0))
    beside = rng.random() < 0.6
    d = float(rng.choice([-1.0, 1.0]) * rng.uniform(1.5, 4.0)) if beside else float(rng.uniform(0.0, road.width_m))
    d = road.width_m + d if beside and d > 0 else d
    return s, d, float(rng.uniform(-np.pi, np.pi)), float(rng.choice([0.0, 1.0]) * rng.uniform(0.5, 2.0))


def _size(kind: Kind, rng: np.random.Generator) -> tuple[float, float, float]:
    if kind is Kind.VEHICLE:
        if rng.random() < 0.15:
            return float(rng.uniform(6.0, 12.0)), float(rng.uniform(2.2, 2.5)), float(rng.uniform(2.6, 3.6))
        return float(rng.uniform(3.6, 5.0)), float(rng.uniform(1.65, 2.0)), float(rng.uniform(1.4, 1.9))
    if kind is Kind.CYCLIST:
        return float(rng.uniform(1.6, 1.9)), float(rng.uniform(0.5, 0.7)), float(rng.uniform(1.6, 1.85))
    if kind is Kind.PEDESTRIAN:
        return float(rng.uniform(0.35, 0.6)), float(rng.uniform(0.4, 0.65)), float(rng.uniform(1.1, 1.9))
    return float(rng.uniform(0.4, 1.6)), float(rng.uniform(0.4, 1.6)), float(rng.uniform(0.3, 1.2))
