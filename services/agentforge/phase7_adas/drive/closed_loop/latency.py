"""How long ticks take on this machine, by the wall's clock, over readings that were recorded in closed loop.

Recorded first, so that neither world nor sensors stand between ticks; each segment is driven again and again by a
new pipeline. Deadlines are kept by the wall, so an overrun has its real consequences, and those are counted.

Readings are handed over as they came, by their own stamps. What is made of one that came just before a tick, or
while the last tick still ran, keeps this one waiting, and that is in its total; what was made before is not, but
fusion and perception are told with it, and `work` is everything.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np

from agentforge.phase7_adas.drive.agent import (
    FUSION_MS,
    PERCEPTION_MS,
    PLANNING_MS,
    PREDICTION_MS,
    TOTAL_AIM_MS,
    TOTAL_MS,
)
from agentforge.phase7_adas.drive.closed_loop.car import Car
from agentforge.phase7_adas.drive.closed_loop.run import by_hand
from agentforge.phase7_adas.drive.evidence.results import Result
from agentforge.phase7_adas.drive.orchestrator.clocks import WallClock
from agentforge.phase7_adas.drive.orchestrator.idle import Idle, collected_between_ticks
from agentforge.phase7_adas.drive.orchestrator.pipeline import TICK_US, Tick
from agentforge.phase7_adas.drive.readings import Reading
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.sensors.suite import Suite
from agentforge.phase7_adas.drive.truth import Floats
from agentforge.phase7_adas.drive.world.world import World

BARS_MS = {
    "fusion": FUSION_MS, "perception": PERCEPTION_MS, "prediction": PREDICTION_MS, "planning": PLANNING_MS,
    "total": TOTAL_MS,
}  # fmt: skip
DRIVEN = ("traffic_flows", "parked_row", "stop_and_go", "group_crosses", "oncoming_stream", "motorway_flow")
SECONDS = 10.0
COLUMNS = (
    "fusion", "fusion_in_tick", "perception", "perception_in_tick", "prediction", "planning", "monitor", "waited",
    "total", "work",
)  # fmt: skip
UNFORESEEN = "predictions moved on"


@dataclass(frozen=True)
class Segment:
    road: Road
    lane: int
    """The route's."""
    ticks: list[tuple[int, tuple[Reading, ...]]]
    """Instant, what arrived."""


@dataclass(frozen=True)
class Latencies:
    ms: dict[str, Floats]
    """By COLUMNS, a number for each tick; NaN where a stage did not run."""
    answers: dict[str, int]
    """What followed overruns: "stage: standin", "stage: mode"."""
    modes: dict[str, int]
    """Ticks in each."""
    share: float = 1.0
    """Of a core's time that this process had. Below one, the machine did other things, and the times are theirs."""


def record(names: Sequence[str] = DRIVEN, seconds: float = SECONDS) -> list[Segment]:
    return [_recorded(name, seconds) for name in names]


def _recorded(name: str, seconds: float) -> Segment:
    scenario = replace(SCENARIOS[name], seconds=seconds)
    world, suite = World(scenario, 0), Suite(scenario.faults, 0, road=scenario.road)
    car = Car(world.road, world.lane)
    ticks: list[tuple[int, tuple[Reading, ...]]] = []
    command, arrived = by_hand(world), list[Reading]()
    while not world.over:
        world.step(command)
        arrived += suite.read(world.truth())
        if world.t_us % TICK_US == 0:
            ticks.append((world.t_us, tuple(arrived)))
            car.arrive(arrived)
            tick = car.tick(world.t_us, (), ())
            command = by_hand(world) if tick is None else tick.verdict.command
            arrived = []
    return Segment(world.road, world.lane, ticks)


def drive_again(segments: Sequence[Segment], ticks: int) -> Latencies:
    ms = {name: np.full(ticks, np.nan) for name in COLUMNS}
    answers, modes = Counter[str](), Counter[str]()
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    with collected_between_ticks() as idle:
        for count, (tick, waited_ms) in enumerate(islice(_ticks(segments, idle), ticks)):
            for name, value in _columns(tick, waited_ms).items():
                ms[name][count] = value
            modes[tick.verdict.mode.name] += 1
            for stage in sorted(tick.late_ms):
                answers[f"{stage} late, mode {tick.verdict.mode.name}"] += 1
            for stood in tick.standins:
                answers[f"{stood} moved on"] += 1
    share = (time.process_time() - began_cpu_s) / (time.perf_counter() - began_s)
    return Latencies(ms, dict(sorted(answers.items())), dict(sorted(modes.items())), min(share, 1.0))


def _columns(tick: Tick, waited_ms: float) -> dict[str, float]:
    times = tick.times
    return {
        "fusion": times.fusion_ms + times.heard_ms,
        "fusion_in_tick": times.fusion_ms,
        "perception": times.perception_ms + times.ahead_ms,
        "perception_in_tick": times.perception_ms,
        "prediction": times.prediction_ms,
        "planning": times.planning_ms,
        "monitor": times.monitor_ms,
        "waited": waited_ms,
        "total": times.total_ms + waited_ms,
        "work": times.total_ms + times.ahead_ms + times.heard_ms,
    }


def _ticks(segments: Sequence[Segment], idle: Idle) -> Iterator[tuple[Tick, float]]:
    """Without end; each with the milliseconds that it waited."""
    for segment in cycle(segments):
        car = Car(segment.road, segment.lane, clock=WallClock())
        free_us = 0.0  # of the world's time, from when on the core has nothing to do
        for t_us, readings in segment.ticks:
            for one in readings:
                began_s = time.perf_counter()
                car.arrive((one,))
                free_us = max(free_us, one.stamp.arrived_us) + (time.perf_counter() - began_s) * 1e6
            waited_us, began_s = max(free_us - t_us, 0.0), time.perf_counter()
            tick = car.tick(t_us, (), ())
            free_us = t_us + waited_us + (time.perf_counter() - began_s) * 1e6
            idle.rest()
            if tick is not None:
                yield tick, waited_us / 1e3


@contextmanager
def loaded_neighbour() -> Iterator[None]:
    """Another process that computes all the time."""
    process = multiprocessing.get_context("spawn").Process(target=_busy, daemon=True)
    process.start()
    time.sleep(1.0)  # until it has imported and computes
    try:
        yield
    finally:
        process.kill()
        process.join()


def _busy() -> None:
    a = np.ones((256, 256))
    while True:
        a = a @ a / 256.0


def results(found: Latencies, label: str) -> list[Result]:
    """`label`: alone, or loaded."""
    made = []
    for stage, every in found.ms.items():
        ms = every[~np.isnan(every)]
        if not len(ms):
            continue
        how = f"{len(ms):,} ticks on one thread of this machine, {label}, with {found.share:.0%} of a core's time"
        bar = BARS_MS.get(stage)
        for name, quantile in (("p50", 0.5), ("p99", 0.99), ("p99_9", 0.999), ("max", 1.0)):
            held = bar if name == "p99" else None
            key = f"latency/{label}/{stage}_{name}_ms"
            made.append(Result(key, float(np.quantile(ms, quantile)), "ms", len(ms), how, bar=held))
        if bar is not None:
            part = float((ms > bar).mean())
            made.append(
                Result(f"latency/{label}/{stage}_overruns", part, "1", len(ms), f"{how}; beyond {bar:g} ms")
            )
    total = found.ms["total"]
    ticks = len(total)
    for name, part, what in (
        ("within_aim", float((total <= TOTAL_AIM_MS).mean()), f"ticks of at most {TOTAL_AIM_MS:g} ms"),
        ("unforeseen", found.answers.get(UNFORESEEN, 0) / ticks, "ticks that had no time left for a prediction"),
        ("normal", found.modes.get("NORMAL", 0) / ticks, "ticks in the mode NORMAL"),
    ):
        made.append(Result(f"latency/{label}/{name}", part, "1", ticks, what))
    return made
