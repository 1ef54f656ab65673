"""Streams of detections with their truth, drawn from the very models a tracker reckons with.

Targets come and go, are missed, may hide behind each other, and stand among false alarms; the ego stands at the
origin. Times of life are drawn, so that a target ends in plain sight: no tracker can know at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, xlog1py, xlogy

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.fusion.kinematics import PUSH_BY_KIND
from agentforge.phase7_adas.drive.fusion.visibility import visible
from agentforge.phase7_adas.drive.messages import Detections, Source
from agentforge.phase7_adas.drive.truth import Floats, Kind

TICK_US = 50_000
CAR = (4.5, 1.9, 1.5)


@dataclass(frozen=True)
class Stream:
    """What a stream is like. Distances in metres, times in seconds."""

    seconds: float = 30.0
    targets: float = 8.0
    """On average at any time."""
    life_s: float = 10.0
    detected: float = 0.9
    hiding: bool = True
    """What stands behind another target is not detected."""
    clutter: float = 3.0
    """False detections in each look, on average."""
    near_sigma_m: float = 0.25
    far_sigma_m: float = 0.6
    """At the far end of the field."""
    field_m: tuple[float, float, float] = (5.0, 95.0, 30.0)
    """Nearest and furthest x, and half the width."""
    true_confidence: tuple[float, float] = (6.0, 2.0)
    false_confidence: tuple[float, float] = (1.5, 4.0)
    """Beta distributions of the detector's raw scores; what is told is the probability that follows from them."""


@dataclass(frozen=True)
class Look:
    t_us: int
    truth_N4: Floats
    detections: Detections


def looks(seed: int, stream: Stream) -> list[Look]:
    rng = Rng(seed, "adas/drive/fusion/synthetic").numpy()
    alive = np.zeros((0, 4))
    ends_us = np.zeros(0)
    made = []
    for tick in range(1, int(stream.seconds * 1e6 / TICK_US) + 1):
        t_us = tick * TICK_US
        alive = _moved(alive, rng)
        inside = (alive[:, 0] > 0) & (alive[:, 0] < stream.field_m[1]) & (np.abs(alive[:, 1]) < stream.field_m[2])
        kept = inside & (ends_us > t_us) & (np.abs(np.arctan2(alive[:, 1], alive[:, 0])) < 0.9)
        alive, ends_us = alive[kept], ends_us[kept]
        born = int(rng.poisson(stream.targets / stream.life_s * TICK_US / 1e6)) if tick > 1 else int(stream.targets)
        alive = np.concatenate([alive, _born(born, stream, rng)])
        ends_us = np.concatenate([ends_us, t_us + rng.exponential(stream.life_s * 1e6, born)])
        made.append(Look(t_us, alive.copy(), _detected(t_us, alive, stream, rng)))
    return made


def _born(many: int, stream: Stream, rng: np.random.Generator) -> Floats:
    near, far, half = stream.field_m
    x = rng.uniform(near + 5, far, many)
    y = rng.uniform(-1.0, 1.0, many) * np.minimum(half, x)
    return np.stack([x, y, rng.normal(0, 6, many), rng.normal(0, 3, many)], axis=1)


def _moved(state_N4: Floats, rng: np.random.Generator) -> Floats:
    dt = TICK_US / 1e6
    density = PUSH_BY_KIND[int(Kind.VEHICLE)] ** 2
    shape = np.linalg.cholesky(density * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]]))
    push = np.einsum("ij,naj->nai", shape, rng.standard_normal((len(state_N4), 2, 2)))
    moved = state_N4.copy()
    moved[:, :2] += state_N4[:, 2:] * dt + push[:, :, 0]
    moved[:, 2:] += push[:, :, 1]
    return moved


def _detected(t_us: int, truth_N4: Floats, stream: Stream, rng: np.random.Generator) -> Detections:
    near, far, half = stream.field_m
    seen = rng.random(len(truth_N4)) < stream.detected
    if stream.hiding:
        size = np.tile(CAR, (len(truth_N4), 1))
        seen &= visible(truth_N4[:, :2], size, np.full(len(truth_N4), int(Kind.VEHICLE)), np.zeros(6))
    hit = truth_N4[seen]
    false = int(rng.poisson(stream.clutter))
    x = rng.uniform(near, far, false)
    clutter = np.stack([x, rng.uniform(-half, half, false)], axis=1)
    many = len(hit) + false
    range_N = np.concatenate([np.hypot(hit[:, 0], hit[:, 1]), np.hypot(clutter[:, 0], clutter[:, 1])])
    sigma_N = stream.near_sigma_m + (stream.far_sigma_m - stream.near_sigma_m) * np.minimum(range_N / far, 1.0)
    xy = np.concatenate([hit[:, :2] + sigma_N[: len(hit), None] * rng.standard_normal((len(hit), 2)), clutter])
    score = np.concatenate([rng.beta(*stream.true_confidence, len(hit)), rng.beta(*stream.false_confidence, false)])
    true_part = stream.targets * stream.detected * _density(score, *stream.true_confidence)
    false_part = stream.clutter * _density(score, *stream.false_confidence)
    away = hit[:, :2] / np.linalg.norm(hit[:, :2], axis=1, keepdims=True)
    rate = (away * hit[:, 2:]).sum(1) + rng.normal(0, 0.1, len(hit))
    return Detections(
        t_us, xy, (sigma_N**2)[:, None, None] * np.eye(2), np.tile(CAR, (many, 1)),
        np.full(many, int(Kind.VEHICLE)), true_part / (true_part + false_part),
        np.concatenate([rate, rng.normal(0, 6, false)]), np.full(many, int(Source.RADAR | Source.LIDAR)),
        np.zeros(many), np.arctan2(xy[:, 1], xy[:, 0]),
    )  # fmt: skip


def _density(score: Floats, a: float, b: float) -> Floats:
    """Of the beta distribution."""
    density: Floats = np.exp(xlogy(a - 1, score) + xlog1py(b - 1, -score) - betaln(a, b))
    return density
