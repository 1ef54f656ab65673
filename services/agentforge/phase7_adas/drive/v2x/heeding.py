"""Who reads DENMs: planning, which drives with care towards a warning on its way, and does no more than that.

With care is as in the mode DEGRADED: slower, with larger gaps, never braking harder than is comfortable. A made-up
warning costs some time, then; it stops nobody, and no warning makes anybody go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.agent import Agent, Scene
from agentforge.phase7_adas.drive.messages import PX, PY, Mode, Plan
from agentforge.phase7_adas.drive.v2x.denm import Cause, Event

AHEAD_M: Final = 150.0
ASIDE_M: Final = 1.5
"""Beyond the lanes of our own way: what positions by GPS are off by."""
REMEMBERED_US: Final = 6_000_000
"""After it was last told."""
MOST: Final = 64
"""Warnings remembered at once; a flood of made-up ones must not fill the memory."""
HEEDED: Final = frozenset(cause.value[0] for cause in Cause)


class Heeding:
    """Planning, told of warnings. One holds until it is cancelled, or not repeated in time. Who has braked hard and
    is done with it stands there, as likely as not, so that is remembered."""

    def __init__(self, planning: Agent[Scene, Plan]) -> None:
        self.name, self.deadline_ms = planning.name, planning.deadline_ms
        self._planning = planning
        self._warnings: dict[tuple[int, int], Event] = {}
        self.careful = 0
        """Plans that were made with care because of a warning."""

    def hear(self, events: Iterable[Event]) -> None:
        for event in events:
            key = event.station, event.number
            if event.over:
                if (event.cause, event.sub_cause) != Cause.EMERGENCY_BRAKING.value:
                    self._warnings.pop(key, None)
            elif event.cause in HEEDED and (key in self._warnings or len(self._warnings) < MOST):
                self._warnings[key] = event

    def step(self, given: Scene) -> Plan:
        self._warnings = {
            key: event for key, event in self._warnings.items() if given.t_us - event.told_us <= REMEMBERED_US
        }
        if self._warnings and given.mode is Mode.NORMAL and self._ahead(given):
            self.careful += 1
            given = replace(given, mode=Mode.DEGRADED)
        return self._planning.step(given)

    def _ahead(self, given: Scene) -> bool:
        places = [(event.x_m, event.y_m) for event in self._warnings.values()]
        xy_N2 = np.array([given.ego.state_6[[PX, PY]], *places], dtype=np.float64)
        if not np.isfinite(xy_N2[0]).all():
            return False
        s_N, d_N = given.road.to_road(xy_N2)
        road = given.road
        ours = (d_N[1:] > -ASIDE_M) & (d_N[1:] < (road.lanes - road.oncoming) * road.lane_width_m + ASIDE_M)
        away = s_N[1:] - s_N[0]
        return bool((ours & (away > 0) & (away < AHEAD_M)).any())
