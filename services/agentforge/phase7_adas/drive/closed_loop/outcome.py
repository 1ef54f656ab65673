"""What became of one drive, judged by the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.evidence.collector import Collector
from agentforge.phase7_adas.drive.injected import InjectedFault
from agentforge.phase7_adas.drive.messages import Mode
from agentforge.phase7_adas.drive.orchestrator.pipeline import TICK_US
from agentforge.phase7_adas.drive.safety.faults import CODES, MODE_OF
from agentforge.phase7_adas.drive.scenarios.scenario import Scenario, Wanted
from agentforge.phase7_adas.drive.truth import Floats
from agentforge.phase7_adas.drive.world.blame import Collision

STANDING_MPS = 0.3
HARD_MPS2 = 4.0
REMEMBERED_S = 3.0
"""A stop has a reason if there was one within this time; standing without one for as long is a false stop, too."""


OF_THE_ROAD = frozenset(
    {"RSS_DISTANCE", "PLAN_COLLIDES", "COLLISION_NEAR", "OBJECT_ONE_SOURCE", "OFF_LANES", "PLAN_INFEASIBLE"}
)
"""Codes that tell of what is around the car, not of the car: naming one is not noticing an injected fault."""


@dataclass(frozen=True)
class Outcome:
    scenario: str
    seed: int
    seconds: float
    metres: float
    collisions: int
    caused: int
    """Collisions that the ego caused (the world's rule)."""
    minimal_risk: int
    """How often the monitor took over: entries into MINIMAL_RISK or EMERGENCY."""
    false_stops: int
    ended: Wanted
    wanted: Wanted
    detected_ms: float | None
    """From the injected fault's beginning to the verdict that names one; None: none named, or nothing injected."""
    reacted_ms: float | None
    """From there to the mode that the named fault asks for; None though one was named: it never came."""
    hardest_brake_mps2: float
    needless_brakes: int
    """How often it braked harder than HARD_MPS2 with nothing real in its way, whatever was injected."""
    late: int
    crashes: int

    @property
    def safe(self) -> bool:
        return self.caused == 0


def judge(
    scenario: Scenario, seed: int, collector: Collector, collisions: Sequence[Collision], metres: float
) -> Outcome:
    count = collector.count
    mode, speed = collector.mode[:count], collector.column("speed")
    detected_us, reacted_us = reaction(scenario.faults, collector)
    return Outcome(
        scenario=scenario.name, seed=seed, seconds=count * TICK_US / 1e6, metres=metres,
        collisions=len(collisions), caused=sum(one.ego_caused for one in collisions),
        minimal_risk=len(takeovers(mode)), false_stops=len(false_stops(scenario.faults, collector)),
        ended=ended(mode, speed), wanted=scenario.wanted,
        detected_ms=None if detected_us is None else detected_us / 1e3,
        reacted_ms=None if reacted_us is None else reacted_us / 1e3,
        hardest_brake_mps2=float(-collector.column("accel").min(initial=0.0)),
        needless_brakes=len(needless_brakes(collector)), late=len(collector.late), crashes=len(collector.crashes),
    )  # fmt: skip


def takeovers(mode: NDArray[np.int8]) -> list[int]:
    """Ticks at which the monitor took over."""
    taken = mode >= Mode.MINIMAL_RISK
    return [k for k in range(len(mode)) if taken[k] and (k == 0 or not taken[k - 1])]


def ended(mode: NDArray[np.int8], speed: Floats) -> Wanted:
    if mode[-1] >= Mode.MINIMAL_RISK:
        return Wanted.MINIMAL_RISK
    return Wanted.STOPS if speed[-1] < STANDING_MPS else Wanted.GOES_ON


def false_stops(faults: Sequence[InjectedFault], collector: Collector) -> list[int]:
    """Ticks at which the ego began to stop, or had stood too long, with nothing in its way and nothing injected."""
    count, window = collector.count, round(REMEMBERED_S * 1e6 / TICK_US)
    troubled = np.array([any(each.acts(int(t)) for each in faults) for t in collector.t_us[:count]], dtype=bool)
    why = collector.reason[:count] | troubled
    recent = np.array([why[max(0, k - window) : k + 1].any() for k in range(count)], dtype=bool)
    taken = [k for k in takeovers(collector.mode[:count]) if not recent[k]]
    idle = (collector.column("speed") < STANDING_MPS) & ~recent
    stood = [
        k for k in range(window, count)
        if idle[k - window : k + 1].all() and (k == window or not idle[k - window - 1])
    ]  # fmt: skip
    return sorted({*taken, *stood})


def needless_brakes(collector: Collector) -> list[int]:
    """Ticks at which hard braking began without a reason by the truth: a ghost or a false message is none."""
    count, window = collector.count, round(REMEMBERED_S * 1e6 / TICK_US)
    hard = collector.column("accel") < -HARD_MPS2
    began = [k for k in range(count) if hard[k] and not hard[max(0, k - window) : k].any()]
    return [k for k in began if not collector.reason[max(0, k - window) : k + 1].any()]


def reaction(faults: Sequence[InjectedFault], collector: Collector) -> tuple[int | None, int | None]:
    """Microseconds from the injection to the verdict that first names a fault of the car itself, and from there to
    the mode that this fault asks for."""
    if not faults:
        return None, None
    began_us = min(each.from_us for each in faults)
    told = [one for one in collector.faults if one.told_us >= began_us and one.code not in OF_THE_ROAD]
    if not told:
        return None, None
    first = min(told, key=lambda one: one.told_us)
    asked = MODE_OF[CODES[first.code].reaction]
    t_us, mode = collector.t_us[: collector.count], collector.mode[: collector.count]
    there = t_us[(t_us >= first.told_us) & (mode >= asked)]
    return first.told_us - began_us, int(there[0]) - first.told_us if len(there) else None
