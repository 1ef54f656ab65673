"""A healthy tick for the monitor, and ways to spoil it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from agentforge.phase7_adas.drive.agent import Watched
from agentforge.phase7_adas.drive.messages import PLAN_STEP_S, PLAN_STEPS, Command, Detections, Plan, Verdict
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.safety.monitor import Monitor
from tests.unit.adas_drive.planning.bench import TICK_US, stamps, straight
from tests.unit.adas_drive.planning.roads import RIGHT, STREET, ego, tracks

SPEED_MPS = 10.0
START_US = 10_000_000
Rows = tuple[tuple[float, float, float, float], ...]
Spoil = Callable[[Watched, int], Watched]


def at(tick: int) -> float:
    """Where the ego is: it drives straight on at SPEED_MPS."""
    return 60.0 + SPEED_MPS * tick * TICK_US / 1e6


def plan(t_us: int, x: float, speed: float = SPEED_MPS, accel: float = 0.0, d: float = RIGHT) -> Plan:
    t = np.arange(PLAN_STEPS) * PLAN_STEP_S
    speeds = np.maximum(speed + accel * t, 0.0)
    way = np.concatenate([[0.0], np.cumsum((speeds[1:] + speeds[:-1]) / 2 * PLAN_STEP_S)])
    states = np.stack([x + way, np.full(PLAN_STEPS, d), 0 * t, speeds, np.where(speeds > 0, accel, 0.0)], axis=1)
    return Plan(t_us, states, Command(accel, 0.0), True, 1)


def detections(t_us: int, tick: int, count: int = 1) -> Detections:
    xy = np.stack([np.full(count, 40.0) - 0.1 * tick, np.arange(count) * 1.0], axis=1)
    ones = np.ones(count)
    return Detections(
        t_us, xy, np.tile(np.eye(2), (count, 1, 1)), np.tile([4.5, 1.8, 1.5], (count, 1)),
        np.zeros(count, dtype=np.int64), ones, ones, np.full(count, 7), 0 * ones, 0 * ones,
    )  # fmt: skip


def healthy(tick: int, rows: Rows = (), road: Road = STREET, sources: int = 7) -> Watched:
    """`rows` are tracks' places at tick 0 and their velocities."""
    now, since = START_US + tick * TICK_US, tick * TICK_US / 1e6
    there = tracks(now, *((x + vx * since, y + vy * since, vx, vy) for x, y, vx, vy in rows), sources=sources)
    arrived, taken = stamps(now)
    return Watched(
        now, ego(now, at(tick), RIGHT, SPEED_MPS), detections(now, tick), there, straight(there),
        plan(now, at(tick)), road, arrived, taken, {}, dict(arrived),
    )  # fmt: skip


def watch(
    spoil: Spoil | None = None,
    ticks: int = 30,
    first: int = 5,
    rows: Rows = (),
    monitor: Monitor | None = None,
    until: int | None = None,
    sources: int = 7,
) -> list[Verdict]:
    """Healthy ticks; those from `first` on (and before `until`) are spoiled, told how many were before."""
    monitor = monitor or Monitor()
    verdicts = []
    for tick in range(ticks):
        given = healthy(tick, rows, sources=sources)
        if spoil is not None and tick >= first and (until is None or tick < until):
            given = spoil(given, tick - first)
        verdicts.append(monitor.step(given))
        assert monitor.error is None or spoil is not None, monitor.error
    return verdicts


def codes(verdicts: list[Verdict]) -> set[str]:
    return {fault.code for verdict in verdicts for fault in verdict.faults}


def first_with(code: str, verdicts: list[Verdict]) -> int:
    return next(n for n, verdict in enumerate(verdicts) if code in {fault.code for fault in verdict.faults})


def changed(**what: object) -> Spoil:
    return lambda given, _: dataclasses.replace(given, **what)  # type: ignore[arg-type]
