"""One drive: world, sensors, pipeline, until the scenario is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.closed_loop.car import Car
from agentforge.phase7_adas.drive.closed_loop.hazards import needed_mps2
from agentforge.phase7_adas.drive.closed_loop.outcome import Outcome, judge
from agentforge.phase7_adas.drive.closed_loop.reasons import reason_to_stop
from agentforge.phase7_adas.drive.evidence.collector import Collector
from agentforge.phase7_adas.drive.messages import Command
from agentforge.phase7_adas.drive.orchestrator.clocks import Clock
from agentforge.phase7_adas.drive.orchestrator.pipeline import TICK_US, Agents, Tick
from agentforge.phase7_adas.drive.readings import Reading
from agentforge.phase7_adas.drive.recording.record import Recorder
from agentforge.phase7_adas.drive.recording.things import Datagrams
from agentforge.phase7_adas.drive.scenarios.scenario import Scenario
from agentforge.phase7_adas.drive.sensors.suite import Suite
from agentforge.phase7_adas.drive.truth import Truth
from agentforge.phase7_adas.drive.v2x.radio import Radio
from agentforge.phase7_adas.drive.world.world import World

Watch = Callable[[Tick, Truth], None]


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
    radio: Radio | None = None,
    recorder: Recorder | None = None,
) -> Driven:
    """`watch` sees every tick; `radio`: absent, that of the scenario. On the default clock, the same seed gives the
    same drive; another scenario with it has other noise, so that drives count as many."""
    chance = Rng(seed, "adas/drive/closed_loop/drive", scenario.name).seed
    radio = radio or Radio(scenario, chance)
    world, suite = World(scenario, chance), Suite(scenario.faults, chance, road=scenario.road)
    car = Car(world.road, world.lane, scenario.faults, agents, clock)
    collector = Collector(round(scenario.seconds * 1e6) // TICK_US + 1)
    command, metres, arrived = by_hand(world), 0.0, list[Reading]()
    while not world.over:
        before = world.truth().ego_6[:2]
        world.step(command)
        truth = world.truth()
        metres += float(np.hypot(*(truth.ego_6[:2] - before)))
        came = suite.read(truth)
        car.arrive(came)
        arrived += came
        if world.t_us % TICK_US:
            continue
        heard = radio.listen(truth)
        if recorder is not None:
            for thing in (*arrived, truth, Datagrams(truth.t_us, tuple(radio.heard))):
                recorder.write(thing)
        tick = car.tick(world.t_us, heard, radio.agent.events)
        arrived = []
        if tick is None:
            command = by_hand(world)
            continue
        command = tick.verdict.command
        collector.note(tick, truth, reason_to_stop(truth, world.road), needed_mps2(truth, world.road))
        if recorder is not None:
            recorder.write(tick.verdict)
        if watch is not None:
            watch(tick, truth)
    return Driven(judge(scenario, seed, collector, world.collisions, metres), collector)


def by_hand(world: World) -> Command:
    """Of the driver before the pipeline takes over: holds speed and lane."""
    s, _ = world.road.to_road(world.truth().ego_6[None, :2])
    return Command(0.0, float(world.road.curvature(s)[0]))
