"""Traffic to learn from and to be scored on: generated worlds, seen through a tracker, split by scene.

The ego of these scenes drives by the truth (it keeps its lane and a distance); detections are the truth with noise
and misses, so that tracks lag and tremble as on the road. Perception's own errors are not in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.fusion.measured import measured
from agentforge.phase7_adas.drive.fusion.tracks import Bank
from agentforge.phase7_adas.drive.fusion.visibility import visible
from agentforge.phase7_adas.drive.messages import PREDICTION_STEPS, Command, Detections, Ego, Source, Tracks
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.scenarios.scenario import Scenario
from agentforge.phase7_adas.drive.scenarios.vary import vary
from agentforge.phase7_adas.drive.truth import HEADING, SPEED, Floats, Ints, Truth, X, Y, to_ego
from agentforge.phase7_adas.drive.world.world import World

TICK_US: Final = 50_000
STEP_TICKS: Final = 4
"""Ticks in one PREDICTION_STEP_S."""
HELD_OUT_PART: Final = 4
"""One of so many scene seeds is never trained on."""
DETECTED: Final = 0.92
SIGMA_M: Final = (0.15, 0.5)
"""Of a detection's place: near, and at 100 m."""
FOLLOWED_M: Final = 1.5
"""A track further than this from every body is of none."""


@dataclass(frozen=True)
class Scene:
    """What a tracker told in one run (every tick), and where each body really was."""

    name: str
    seed: int
    road: Road
    id_B: Ints
    xy_TB2: Floats
    tracks: tuple[Tracks, ...]

    def future(self, tick: int) -> tuple[Floats, Ints]:
        """Where each track of this tick really went (N, PREDICTION_STEPS, 2), and its body; -1 where of none."""
        tracks = self.tracks[tick]
        ahead = tick + STEP_TICKS * np.arange(1, PREDICTION_STEPS + 1)
        away_NB = np.linalg.norm(tracks.mean_N4[:, None, :2] - self.xy_TB2[tick][None], axis=2)
        body_N = away_NB.argmin(axis=1)
        near_N = away_NB[np.arange(len(body_N)), body_N] < FOLLOWED_M
        return self.xy_TB2[ahead][:, body_N].transpose(1, 0, 2), np.where(near_N, body_N, -1)

    @property
    def scored_ticks(self) -> range:
        return range(30, len(self.tracks) - STEP_TICKS * PREDICTION_STEPS)


def held_out(seed: int) -> bool:
    """The split: by the digest of the scene's seed, whatever is made of it."""
    return Rng(seed, "adas/drive/prediction/split").seed % HELD_OUT_PART == 0


def scenes(first_seed: int, many: int, *, learned: bool) -> Iterator[Scene]:
    """Scenes to learn from, or (not learned) to be scored on; the seeds of the two never meet."""
    names, seed, made = sorted(SCENARIOS), first_seed, 0
    while made < many:
        if held_out(seed) != learned:
            scene = record(vary(SCENARIOS[names[seed % len(names)]], seed), seed)
            if scene is not None:
                assert held_out(scene.seed) is not learned
                yield scene
                made += 1
        seed += 1


def record(scenario: Scenario, seed: int) -> Scene | None:
    """None where nobody else is about, or where it was over before there was anything to foresee."""
    world, bank = World(scenario, seed), Bank(Counter())
    places, told, ids = [], [], np.zeros(0, dtype=np.int64)
    while not world.over:
        truth = world.truth()
        if world.t_us % TICK_US == 0:
            ids = truth.others.id_N
            places.append(truth.others.state_N6[:, [X, Y]])
            ego = Ego(truth.t_us, truth.ego_6, np.eye(6) * 1e-6, True)
            bank.step(measured(_detected(truth, seed), ego, bank.counts))
            told.append(bank.told(truth.t_us))
        world.step(_drive(truth, world.road, world.lane))
    if not len(ids) or len(places) < 40 + STEP_TICKS * PREDICTION_STEPS:
        return None
    return Scene(scenario.name, seed, scenario.road, ids, np.stack(places), tuple(told))


def _detected(truth: Truth, seed: int) -> Detections:
    others, t_us = truth.others, truth.t_us
    rng = Rng(seed, "adas/drive/prediction/detections", t_us).numpy()
    here = to_ego(others.state_N6[:, [X, Y]], truth.ego_6)
    seen = visible(others.state_N6[:, [X, Y]], others.size_N3, others.kind_N, truth.ego_6)
    seen &= rng.random(len(others)) < DETECTED
    range_N = np.hypot(here[:, 0], here[:, 1])
    sigma_N = SIGMA_M[0] + (SIGMA_M[1] - SIGMA_M[0]) * np.minimum(range_N / 100.0, 1.0)
    xy = here + sigma_N[:, None] * rng.standard_normal((len(others), 2))
    unit = here / np.maximum(range_N, 1.0)[:, None]
    turn = others.state_N6[:, HEADING] - truth.ego_6[HEADING]
    velocity = others.state_N6[:, SPEED, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    rate = (unit * (velocity - [truth.ego_6[SPEED], 0.0])).sum(axis=1) + rng.normal(0, 0.1, len(others))
    many = int(seen.sum())
    return Detections(
        t_us, xy[seen], (sigma_N[seen] ** 2)[:, None, None] * np.eye(2), others.size_N3[seen], others.kind_N[seen],
        np.full(many, 0.9), rate[seen], np.full(many, int(Source.RADAR | Source.LIDAR)), np.zeros(many),
        np.arctan2(here[seen, 1], here[seen, 0]),
    )  # fmt: skip


def _drive(truth: Truth, road: Road, lane: int) -> Command:
    """Keeps to the lane's centre, and brakes for whatever stands or moves in its way."""
    ego = truth.ego_6
    s, d = road.to_road(ego[None, [X, Y]])
    lean = float(np.angle(np.exp(1j * (ego[HEADING] - road.heading(s)[0]))))
    off = float(d[0]) - road.lane_centre_d(lane)
    speed = max(float(ego[SPEED]), 1.0)
    bend = float(road.curvature(s)[0]) - 1.4 * lean / speed - 0.6 * off / speed**2
    here = to_ego(truth.others.state_N6[:, [X, Y]], ego)
    reach = truth.others.size_N3[:, 0] / 2
    ahead = (here[:, 0] > 0) & (
        np.abs(here[:, 1] - here[:, 0] ** 2 * bend / 2) < 1.2 + truth.others.size_N3[:, 1] / 2
    )
    gap = float(np.min(np.where(ahead, here[:, 0] - reach - 2.3, 200.0), initial=200.0))
    accel = 1.5 * (1 - speed / road.speed_limit_mps) - max(0.0, speed**2 / (2 * max(gap - 4.0, 0.5)) - 0.8)
    return Command(min(max(accel, -8.0), 1.5), bend)
