"""One drive: world, sensors, pipeline, until the scenario is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from agentforge.phase7_adas.drive.agent import Neighbour
from agentforge.phase7_adas.drive.closed_loop.outcome import Outcome, judge
from agentforge.phase7_adas.drive.closed_loop.reasons import reason_to_stop
from agentforge.phase7_adas.drive.evidence.collector import Collector
from agentforge.phase7_adas.drive.messages import Command
from agentforge.phase7_adas.drive.orchestrator.assembly import assemble
from agentforge.phase7_adas.drive.orchestrator.clocks import Clock
from agentforge.phase7_adas.drive.orchestrator.pipeline import TICK_US, Agents, Pipeline, Tick
from agentforge.phase7_adas.drive.readings import Reading
from agentforge.phase7_adas.drive.scenarios.scenario import Scenario
from agentforge.phase7_adas.drive.sensors.spec import SPECS
from agentforge.phase7_adas.drive.sensors.suite import Suite
from agentforge.phase7_adas.drive.truth import Truth
from agentforge.phase7_adas.drive.v2x.radio import Radio
from agentforge.phase7_adas.drive.world.world import World

HANDOVER_US = 1_000_000
"""Until then a driver drives and the pipeline listens: it is switched on in a car that knows where it is."""

Watch = Callable[[Tick, Truth], None]
Listen = Callable[[Truth], tuple[Neighbour, ...]]


@dataclass(frozen=True)
class Driven:
    outcome: Outcome
    collector: Collector


def drive(
    scenario: Scenario,
    seed: int,
    agents: Agents | None = None,
    *,
    clock: Clock | None = None,
    watch: Watch | None = None,
    listen: Listen | None = None,
) -> Driven:
    """`watch` sees every tick; `listen` is the radio: absent, that of the scenario. On the default clock, the same
    seed gives the same drive."""
    listen = listen or Radio(scenario, seed).listen
    world, suite = World(scenario, seed), Suite(scenario.faults, seed, road=scenario.road)
    pipeline = Pipeline(agents or assemble(), world.road, SPECS.camera.shape, scenario.faults, clock)
    collector = Collector(round(scenario.seconds * 1e6) // TICK_US + 1)
    command, metres, arrived = by_hand(world), 0.0, list[Reading]()
    while not world.over:
        before = world.truth().ego_6[:2]
        world.step(command)
        truth = world.truth()
        metres += float(np.hypot(*(truth.ego_6[:2] - before)))
        arrived += suite.read(truth)
        if world.t_us % TICK_US:
            continue
        heard = listen(truth)
        if world.t_us <= HANDOVER_US:
            pipeline.listen(world.t_us, arrived, heard)
            command = by_hand(world)
        else:
            tick = pipeline.tick(world.t_us, arrived, world.lane, heard)
            command = tick.verdict.command
            collector.note(tick, truth, reason_to_stop(truth, world.road))
            if watch is not None:
                watch(tick, truth)
        arrived = []
    return Driven(judge(scenario, seed, collector, world.collisions, metres), collector)


def by_hand(world: World) -> Command:
    """Of the driver before the pipeline takes over: holds speed and lane."""
    s, _ = world.road.to_road(world.truth().ego_6[None, :2])
    return Command(0.0, float(world.road.curvature(s)[0]))
