"""Watches stages: what overran, and what gave nothing for how long."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Final

from agentforge.phase7_adas.drive.agent import Watched
from agentforge.phase7_adas.drive.messages import Fault

SLOW_TIMES: Final = 4
"""Overruns of one stage within SLOW_US that are too many."""
SLOW_US: Final = 1_000_000
LOST_US: Final = {"detections": 400_000, "tracks": 150_000, "predictions": 150_000, "plan": 150_000}
"""How long each may be missing. Detections are made only when a reading has arrived."""
MISSING_US: Final = {"detections": 200_000, "tracks": 0, "predictions": 0, "plan": 0}
LOST_CODE: Final = {name: f"{name.upper()}_LOST" for name in LOST_US}


class Stages:
    def __init__(self) -> None:
        self._overran_us: dict[str, deque[int]] = defaultdict(deque)
        self._had_us: dict[str, int] = {}

    def step(self, given: Watched, unusable: frozenset[str]) -> list[Fault]:
        """`unusable`: what is there but cannot be used; that is as good as missing."""
        faults = self._late(given)
        for name in LOST_US:
            if getattr(given, name) is not None and name not in unusable:
                self._had_us[name] = given.t_us
                continue
            missing = given.t_us - self._had_us.setdefault(name, given.t_us - MISSING_US[name])
            if missing >= LOST_US[name]:
                faults.append(Fault(LOST_CODE[name], given.t_us, name, f"nothing for {missing / 1e3:.0f} ms"))
            elif missing > MISSING_US[name]:
                faults.append(Fault("STAGE_MISSING", given.t_us, name, f"nothing for {missing / 1e3:.0f} ms"))
        return faults

    def _late(self, given: Watched) -> list[Fault]:
        faults = []
        for stage, late_ms in sorted(given.late_ms.items()):
            overran = self._overran_us[stage]
            overran.append(given.t_us)
            faults.append(Fault("STAGE_LATE", given.t_us, stage, f"{late_ms:.1f} ms over its deadline"))
        for stage, overran in sorted(self._overran_us.items()):
            while overran and given.t_us - overran[0] >= SLOW_US:
                overran.popleft()
            if len(overran) >= SLOW_TIMES:
                faults.append(Fault("STAGE_SLOW", given.t_us, stage, f"{len(overran)} overruns in a second"))
        return faults
