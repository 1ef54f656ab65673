"""How long ticks take on this machine, by the wall's clock, over readings that were recorded in closed loop.

Recorded first, so that neither world nor sensors stand between ticks; each segment is driven again and again by a
new pipeline. Deadlines are kept by the wall, so an overrun has its real consequences, and those are counted.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from agentforge.phase7_adas.drive.agent import (
    FUSION_MS,
    PERCEPTION_MS,
    PLANNING_MS,
    PREDICTION_MS,
    TOTAL_AIM_MS,
    TOTAL_MS,
)
from agentforge.phase7_adas.drive.evidence.collector import STAGES
from agentforge.phase7_adas.drive.evidence.results import Result
from agentforge.phase7_adas.drive.messages import Command
from agentforge.phase7_adas.drive.orchestrator.assembly import assemble
from agentforge.phase7_adas.drive.orchestrator.clocks import WallClock
from agentforge.phase7_adas.drive.orchestrator.pipeline import TICK_US, Pipeline
from agentforge.phase7_adas.drive.readings import Reading
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.sensors.spec import SPECS
from agentforge.phase7_adas.drive.sensors.suite import Suite
from agentforge.phase7_adas.drive.truth import Floats
from agentforge.phase7_adas.drive.world.world import World

BARS_MS = {
    "fusion": FUSION_MS, "perception": PERCEPTION_MS, "prediction": PREDICTION_MS, "planning": PLANNING_MS,
    "total": TOTAL_MS,
}  # fmt: skip
DRIVEN = ("traffic_flows", "parked_row", "stop_and_go", "group_crosses", "oncoming_stream", "motorway_flow")
SECONDS = 10.0
WARM = 20
"""Ticks of each new pipeline that are not counted: nobody drives off in the second that it starts in."""


@dataclass(frozen=True)
class Segment:
    road: Road
    ticks: list[tuple[int, int, tuple[Reading, ...]]]
    """Instant, lane, what arrived."""


@dataclass(frozen=True)
class Latencies:
    ms: Floats
    """Ticks x STAGES; NaN where a stage did not run."""
    answers: dict[str, int]
    """What followed overruns: "stage: standin", "stage: mode"."""
    share: float = 1.0
    """Of a core's time that this process had. Below one, the machine did other things, and the times are theirs."""


def record(names: Sequence[str] = DRIVEN, seconds: float = SECONDS) -> list[Segment]:
    return [_recorded(name, seconds) for name in names]


def _recorded(name: str, seconds: float) -> Segment:
    scenario = replace(SCENARIOS[name], seconds=seconds)
    world, suite = World(scenario, 0), Suite(scenario.faults, 0, road=scenario.road)
    pipeline = Pipeline(assemble(), world.road, SPECS.camera.shape)
    ticks: list[tuple[int, int, tuple[Reading, ...]]] = []
    command, arrived = Command(0.0, 0.0), list[Reading]()
    while not world.over:
        world.step(command)
        arrived += suite.read(world.truth())
        if world.t_us % TICK_US == 0:
            ticks.append((world.t_us, world.lane, tuple(arrived)))
            command = pipeline.tick(world.t_us, arrived, world.lane).verdict.command
            arrived = []
    return Segment(world.road, ticks)


def drive_again(segments: Sequence[Segment], ticks: int) -> Latencies:
    ms, answers, count = np.full((ticks, len(STAGES)), np.nan), Counter[str](), 0
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    while count < ticks:
        for segment in segments:
            pipeline = Pipeline(assemble(), segment.road, SPECS.camera.shape, clock=WallClock())
            for number, (t_us, lane, readings) in enumerate(segment.ticks):
                tick = pipeline.tick(t_us, readings, lane)
                if number < WARM or count == ticks:
                    continue
                ms[count] = [getattr(tick.times, f"{stage}_ms") for stage in STAGES]
                count += 1
                for stage in sorted(tick.late_ms):
                    answers[f"{stage} late, mode {tick.verdict.mode.name}"] += 1
                for stood in tick.standins:
                    answers[f"{stood} moved on"] += 1
    share = (time.process_time() - began_cpu_s) / (time.perf_counter() - began_s)
    return Latencies(ms, dict(sorted(answers.items())), min(share, 1.0))


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
    for column, stage in enumerate(STAGES):
        ms = found.ms[:, column]
        ms = ms[~np.isnan(ms)]
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
    total = found.ms[:, STAGES.index("total")]
    part = float((total <= TOTAL_AIM_MS).mean())
    made.append(
        Result(f"latency/{label}/within_aim", part, "1", len(total), f"ticks of at most {TOTAL_AIM_MS:g} ms")
    )
    return made
