"""What became of one drive, judged by the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.closed_loop.hazards import hazards
from agentforge.phase7_adas.drive.evidence.collector import Collector
from agentforge.phase7_adas.drive.evidence.naming import first_named
from agentforge.phase7_adas.drive.injected import FOR_EVER_US, InjectedFault
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
"""Codes that tell of what is around the car, not of the car."""


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
    """From the injected fault's beginning to the verdict that names this very fault; None: it never was, or nothing
    was injected."""
    reacted_ms: float | None
    """From there to the mode that the named fault asks for; None though it was named: it never came."""
    hardest_brake_mps2: float
    needless_brakes: int
    """How often it braked harder than HARD_MPS2 with nothing real in its way, whatever was injected."""
    late: int
    crashes: int
    named: str | None = None
    """The code that named the injected fault."""
    alarms: int = 0
    """Faults of the car itself, grave enough to degrade it, that were told while nothing had been injected."""
    off_m: float | None = None
    """The farthest that the ego was from where it believed to be, while it trusted itself."""
    hazard_reactions_ms: list[float] = field(default_factory=list)
    """From each hazard's beginning, by the truth, to the command that brakes (closed_loop.hazards); of those alone
    that it answered and had not foreseen. A list: a tuple would not come back from JSON as one."""
    hazards_foreseen: int = 0
    hazards_passed: int = 0
    hazards_unanswered: int = 0

    @property
    def hazards(self) -> int:
        return len(self.hazard_reactions_ms) + self.hazards_foreseen + self.hazards_passed + self.hazards_unanswered

    @property
    def safe(self) -> bool:
        return self.caused == 0


def judge(
    scenario: Scenario, seed: int, collector: Collector, collisions: Sequence[Collision], metres: float
) -> Outcome:
    count = collector.count
    mode, speed = collector.mode[:count], collector.column("speed")
    named, detected_us, reacted_us = reaction(scenario.faults, collector)
    off_m, met = collector.column("off_m"), hazards(collector)
    return Outcome(
        scenario=scenario.name, seed=seed, seconds=count * TICK_US / 1e6, metres=metres,
        collisions=len(collisions), caused=sum(one.ego_caused for one in collisions),
        minimal_risk=len(takeovers(mode)), false_stops=len(false_stops(scenario.faults, collector)),
        ended=ended(mode, speed), wanted=scenario.wanted,
        detected_ms=None if detected_us is None else detected_us / 1e3,
        reacted_ms=None if reacted_us is None else reacted_us / 1e3,
        hardest_brake_mps2=float(-collector.column("accel").min(initial=0.0)),
        needless_brakes=len(needless_brakes(collector)), late=len(collector.late), crashes=len(collector.crashes),
        named=named, alarms=alarms(scenario.faults, collector),
        off_m=None if np.isnan(off_m).all() else float(np.nanmax(off_m)),
        hazard_reactions_ms=met.reactions_ms, hazards_foreseen=met.foreseen, hazards_passed=met.passed,
        hazards_unanswered=met.unanswered,
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


def alarms(faults: Sequence[InjectedFault], collector: Collector) -> int:
    began_us = min((each.from_us for each in faults), default=FOR_EVER_US)
    return sum(
        one.told_us < began_us
        and one.code not in OF_THE_ROAD
        and MODE_OF[CODES[one.code].reaction] >= Mode.DEGRADED
        for one in collector.faults
    )


def reaction(faults: Sequence[InjectedFault], collector: Collector) -> tuple[str | None, int | None, int | None]:
    """The code that first names the injected fault; microseconds from the injection to the verdict that does, and
    from there to the mode that this code asks for."""
    first = first_named(faults, collector.faults)
    if first is None:
        return None, None, None
    asked = MODE_OF[CODES[first.code].reaction]
    t_us, mode = collector.t_us[: collector.count], collector.mode[: collector.count]
    there = t_us[(t_us >= first.told_us) & (mode >= asked)]
    began_us = min(each.from_us for each in faults)
    return first.code, first.told_us - began_us, int(there[0]) - first.told_us if len(there) else None
