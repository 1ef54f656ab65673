"""A closed loop without sensors: what is true becomes tracks, and predictions go straight on.

So planning and monitor are tried by themselves. Everything here is a test's; nothing is reported from it as a
result of the whole pipeline.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from agentforge.phase7_adas.drive.agent import Agent, Scene, Watched
from agentforge.phase7_adas.drive.messages import (
    PREDICTION_STEP_S,
    PREDICTION_STEPS,
    Command,
    Ego,
    Mode,
    Plan,
    Predictions,
    Tracks,
    Verdict,
    no_detections,
)
from agentforge.phase7_adas.drive.planning.agent import Planning
from agentforge.phase7_adas.drive.scenarios.scenario import Scenario
from agentforge.phase7_adas.drive.truth import ACCEL, HEADING, SPEED, YAW_RATE, Floats, Truth, X, Y
from agentforge.phase7_adas.drive.world.world import World

TICK_US, STEPS_PER_TICK = 50_000, 5
SIGHT_M = 100.0
PERIOD_US = {"camera": 33_333, "radar": 50_000, "lidar": 100_000, "imu": 10_000, "gps": 200_000}
LATENCY_US = {"camera": 30_000, "radar": 30_000, "lidar": 40_000, "imu": 1_000, "gps": 50_000}


def ego_of(truth: Truth, noise: Floats | None = None) -> Ego:
    state = truth.ego_6 + (0.0 if noise is None else noise)
    return Ego(truth.t_us, state, np.diag([0.01, 0.01, 1e-4, 0.01, 0.01, 1e-4]), True)


def tracks_of(truth: Truth, born_us: dict[int, int], sources: int = 7) -> Tracks:
    others = truth.others
    near = np.hypot(*(others.state_N6[:, :2] - truth.ego_6[:2]).T) < SIGHT_M
    state, ids = others.state_N6[near], others.id_N[near]
    speed, heading = state[:, SPEED], state[:, HEADING]
    mean = np.stack([state[:, X], state[:, Y], speed * np.cos(heading), speed * np.sin(heading)], axis=1)
    for one in ids:
        born_us.setdefault(int(one), truth.t_us)
    count = len(ids)
    age = np.array([truth.t_us - born_us[int(one)] for one in ids], dtype=np.int64)
    return Tracks(
        truth.t_us, ids, mean, np.tile(np.diag([0.04, 0.04, 0.04, 0.04]), (count, 1, 1)), others.size_N3[near],
        others.kind_N[near], np.ones(count), np.full(count, sources), age, np.zeros(count, dtype=np.int64),
    )  # fmt: skip


def straight(tracks: Tracks) -> Predictions:
    ahead = np.arange(1, PREDICTION_STEPS + 1) * PREDICTION_STEP_S
    xy = tracks.mean_N4[:, None, :2] + ahead[:, None] * tracks.mean_N4[:, None, 2:]
    count = len(tracks.id_N)
    sigma = np.broadcast_to(0.2 + 0.3 * ahead, (count, 1, PREDICTION_STEPS))
    return Predictions(tracks.t_us, tracks.id_N, xy[:, None], np.ones((count, 1)), sigma)


def stamps(t_us: int) -> tuple[dict[str, int], dict[str, int]]:
    """When each sensor's last reading arrived, and when it was taken, if all is well."""
    taken = {name: (t_us - LATENCY_US[name]) // period * period for name, period in PERIOD_US.items()}
    return {name: one + LATENCY_US[name] for name, one in taken.items()}, taken


@dataclass
class Run:
    """What came out; arrays are by tick."""

    truths: list[Truth] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    plan_ms: list[float] = field(default_factory=list)
    monitor_ms: list[float] = field(default_factory=list)
    caused: int = 0
    suffered: int = 0
    why: list[str] = field(default_factory=list)
    gap_m: float = np.inf
    off_road_us: int = 0

    def ego(self, column: int) -> Floats:
        return np.array([truth.ego_6[column] for truth in self.truths])

    def jerk(self) -> Floats:
        """Over 0.2 s, m/s3."""
        accel = self.ego(ACCEL)
        return (accel[4:] - accel[:-4]) / 0.2

    def side(self) -> Floats:
        return self.ego(SPEED) * self.ego(YAW_RATE)

    def codes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for verdict in self.verdicts:
            for fault in verdict.faults:
                found[fault.code] = found.get(fault.code, 0) + 1
        return found

    def worst(self) -> Mode:
        return max((verdict.mode for verdict in self.verdicts), default=Mode.NORMAL)


def drive(
    scenario: Scenario,
    seed: int = 0,
    monitor: Agent[Watched, Verdict] | None = None,
    noise: tuple[float, ...] = (0.0,) * 6,
    seconds: float | None = None,
) -> Run:
    """`noise`: standard deviations of the ego's state, for ticks by themselves."""
    world, planning, run = World(scenario, seed), Planning(), Run()
    mode, command, born = Mode.NORMAL, Command(0.0, 0.0), dict[int, int]()
    draw = np.random.default_rng(seed)
    while not world.over and (seconds is None or world.t_us < seconds * 1e6):
        truth = world.truth()
        ego, tracks = ego_of(truth, draw.normal(size=6) * noise), tracks_of(truth, born)
        predictions = straight(tracks)
        began = time.thread_time()
        plan = planning.step(Scene(truth.t_us, ego, tracks, predictions, world.road, world.lane, mode))
        run.plan_ms.append((time.thread_time() - began) * 1e3)
        command = plan.command
        if monitor is not None:
            watched = Watched(
                truth.t_us, ego, no_detections(truth.t_us), tracks, predictions, plan, world.road,
                *stamps(truth.t_us), {},
            )  # fmt: skip
            began = time.thread_time()
            verdict = monitor.step(watched)
            run.monitor_ms.append((time.thread_time() - began) * 1e3)
            run.verdicts.append(verdict)
            mode, command = verdict.mode, verdict.command
        run.truths.append(truth)
        run.plans.append(plan)
        assert planning.error is None, planning.error
        for _ in range(STEPS_PER_TICK):
            world.step(command)
    run.caused = sum(one.ego_caused for one in world.collisions)
    run.suffered = len(world.collisions) - run.caused
    run.why = [f"{one.why} id {one.other} at {one.t_us / 1e6:.1f} s" for one in world.collisions]
    run.off_road_us = world.off_road_us
    return run
