"""One stage: an agent's step, timed, its crash caught and told, its injected faults put in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from agentforge.phase7_adas.drive.injected import FaultKind, InjectedFault
from agentforge.phase7_adas.drive.orchestrator.clocks import Clock

Made = TypeVar("Made")
Given = TypeVar("Given")


class InjectedCrash(RuntimeError):
    pass


@dataclass(frozen=True)
class Done(Generic[Made]):
    """`made` is None after a crash."""

    made: Made | None
    wall_ms: float
    spent_ms: float
    """By the pipeline's clock, by which deadlines are kept."""
    crash: str | None = None


class Stage:
    """`name` is what injected faults and reports call it."""

    def __init__(self, name: str, deadline_ms: float, clock: Clock, faults: Iterable[InjectedFault] = ()) -> None:
        self.name, self.deadline_ms = name, deadline_ms
        self._clock = clock
        self._faults = [one for one in faults if one.where == name]

    def run(self, t_us: int, step: Callable[[Given], Made], given: Given) -> Done[Made]:
        began, spent = time.perf_counter(), self._clock.now_ms()
        made: Made | None = None
        crash = None
        try:
            made = step(given)
            self._trouble(t_us)
        except Exception as fault:  # whatever it is, the car is still moving
            made, crash = None, f"{type(fault).__name__}: {fault}"
        return Done(made, (time.perf_counter() - began) * 1e3, self._clock.now_ms() - spent, crash)

    def _trouble(self, t_us: int) -> None:
        for fault in self._faults:
            if not fault.acts(t_us):
                continue
            if fault.kind is FaultKind.OVERRUN:
                self._clock.spend_ms(fault.amount)
            elif fault.kind is FaultKind.CRASH:
                raise InjectedCrash(f"injected into {self.name}")
