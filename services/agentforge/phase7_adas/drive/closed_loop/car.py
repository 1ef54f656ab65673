"""The pipeline in its car: switched on while somebody drives, told of warnings, alike live and in a replay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from agentforge.phase7_adas.drive.agent import Neighbour
from agentforge.phase7_adas.drive.injected import InjectedFault
from agentforge.phase7_adas.drive.orchestrator.assembly import assemble
from agentforge.phase7_adas.drive.orchestrator.clocks import Clock
from agentforge.phase7_adas.drive.orchestrator.pipeline import Agents, Pipeline, Tick
from agentforge.phase7_adas.drive.readings import Reading
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.sensors.spec import SPECS
from agentforge.phase7_adas.drive.v2x.denm import Event
from agentforge.phase7_adas.drive.v2x.heeding import Heeding

HANDOVER_US = 1_000_000
"""Until then a driver drives and the pipeline listens: it is switched on in a car that knows where it is."""


class Car:
    def __init__(
        self,
        road: Road,
        lane: int,
        faults: Sequence[InjectedFault] = (),
        agents: Agents | None = None,
        clock: Clock | None = None,
        began_us: int = 0,
    ) -> None:
        agents = agents or assemble()
        self.heeding = Heeding(agents.planning)
        self.pipeline = Pipeline(replace(agents, planning=self.heeding), road, SPECS.camera.shape, faults, clock)
        self._lane, self._handover_us = lane, began_us + HANDOVER_US

    def arrive(self, readings: Iterable[Reading]) -> None:
        self.pipeline.arrive(readings)

    def tick(self, t_us: int, heard: tuple[Neighbour, ...], events: Iterable[Event]) -> Tick | None:
        """None while the driver drives."""
        self.heeding.hear(events)
        if t_us <= self._handover_us:
            self.pipeline.listen(t_us, (), heard)
            return None
        return self.pipeline.tick(t_us, (), self._lane, heard)
