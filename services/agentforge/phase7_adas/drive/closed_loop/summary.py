"""What many drives say together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from agentforge.phase7_adas.drive.closed_loop import by_fault
from agentforge.phase7_adas.drive.closed_loop.hazards import HAZARD_MPS2
from agentforge.phase7_adas.drive.closed_loop.outcome import Outcome
from agentforge.phase7_adas.drive.evidence.intervals import Rate, per_hour
from agentforge.phase7_adas.drive.evidence.results import Result
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS


def results(outcomes: Sequence[Outcome]) -> list[Result]:
    hours = sum(one.seconds for one in outcomes) / 3600
    kinds = len({o.scenario for o in outcomes})
    how = f"{_extent(outcomes)}, {kinds} scenario{'s'[: kinds != 1]}"
    found = [
        _count("closed_loop/caused_collisions", [not o.safe for o in outcomes], how),
        _rate("closed_loop/caused_collisions_per_hour", sum(o.caused for o in outcomes), hours, how),
        _rate("closed_loop/false_stops_per_hour", sum(o.false_stops for o in outcomes), hours, how),
        _rate("closed_loop/needless_brakes_per_hour", sum(o.needless_brakes for o in outcomes), hours, how),
        _rate("closed_loop/minimal_risk_per_hour", sum(o.minimal_risk for o in outcomes), hours, how),
        _part("closed_loop/as_wanted", [o.ended is o.wanted for o in outcomes], how),
    ]
    return found + _of_the_car(outcomes) + _of_hazards(outcomes) + by_fault.results(outcomes)


def _of_the_car(outcomes: Sequence[Outcome]) -> list[Result]:
    """Where the ego is, and whether it cries wolf: only drives without an injected fault can say."""
    sound = _sound(outcomes)
    if not sound:
        return []
    hours = sum(o.seconds for o in sound) / 3600
    how = f"{_extent(sound)}, without an injected fault"
    alarms, taken = sum(o.alarms for o in sound), sum(o.minimal_risk for o in sound)
    found = [
        _rate("closed_loop/minimal_risk_without_fault_per_hour", taken, hours, how),
        _rate("faults/false_alarms_per_hour", alarms, hours, f"{how}; faults of the car that degrade it"),
    ]
    off = [o.off_m for o in sound if o.off_m is not None]
    if off:
        method = f"{how}; from belief to truth while it trusts itself, the farthest"
        found.append(Result("ego/off_m", max(off), "m", len(off), method))
    return found


def _of_hazards(outcomes: Sequence[Outcome]) -> list[Result]:
    """How soon it brakes for what is in its way, by the truth; what it foresaw has no time."""
    count = sum(o.hazards for o in outcomes)
    if not count:
        return []
    foreseen, passed = sum(o.hazards_foreseen for o in outcomes), sum(o.hazards_passed for o in outcomes)
    late_ms = [ms for o in outcomes for ms in o.hazard_reactions_ms]
    how = f"{_extent(outcomes)}; needs to brake, by the truth, that are sudden or above {HAZARD_MPS2:g} m/s²"
    split = f"{foreseen} foreseen, {len(late_ms)} answered later, {passed} gone before it braked"
    rate, never = Rate(foreseen, count), sum(o.hazards_unanswered for o in outcomes)
    found = [
        Result("hazards/foreseen", rate.value, "1", count, f"{how}; braked for already: {split}", *rate.interval),
        Result("hazards/unanswered", never, "1", count, f"{how}; no braking until the drive ended"),
    ]
    if late_ms:
        method = f"{how}; from the need to the command that brakes, of those answered later"
        found += [
            _quantile("hazards/reaction_p50_ms", late_ms, 0.5, method),
            _quantile("hazards/reaction_p95_ms", late_ms, 0.95, method),
            _quantile("hazards/reaction_ms", late_ms, 1.0, f"{method}, the slowest"),
        ]
    sound_ms = [ms for o in _sound(outcomes) for ms in o.hazard_reactions_ms]
    if sound_ms:
        method = "those of hazards/reaction_p95_ms that are of drives without an injected fault"
        found.append(_quantile("hazards/reaction_p95_without_fault_ms", sound_ms, 0.95, method))
    return found


def _sound(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [o for o in outcomes if not SCENARIOS[o.scenario].faults]


def _quantile(key: str, taken_ms: Sequence[float], part: float, method: str) -> Result:
    return Result(key, float(np.quantile(taken_ms, part)), "ms", len(taken_ms), method)


def by_scenario(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        groups[one.scenario].append(one)
    return [_row(name, groups[name]) for name in sorted(groups)]


def _row(name: str, group: Sequence[Outcome]) -> dict[str, Any]:
    scenario = SCENARIOS[name]
    reacted = [o.reacted_ms for o in group if o.reacted_ms is not None]
    answered_ms = [ms for o in group for ms in o.hazard_reactions_ms]
    return {
        "scenario": name,
        "family": scenario.family.value,
        "summary": scenario.summary,
        "injected": [[each.where, each.kind.value] for each in scenario.faults],
        "drives": len(group),
        "wanted": scenario.wanted.value,
        "as_wanted": sum(o.ended is o.wanted for o in group),
        "collisions": sum(o.collisions for o in group),
        "caused": sum(o.caused for o in group),
        "minimal_risk": sum(o.minimal_risk for o in group),
        "false_stops": sum(o.false_stops for o in group),
        "needless_brakes": sum(o.needless_brakes for o in group),
        "hardest_brake_mps2": max(o.hardest_brake_mps2 for o in group),
        "slowest_reaction_ms": max(reacted, default=None),
        "hazards": sum(o.hazards for o in group),
        "hazards_foreseen": sum(o.hazards_foreseen for o in group),
        "hazards_answered": len(answered_ms),
        "hazards_passed": sum(o.hazards_passed for o in group),
        "hazards_unanswered": sum(o.hazards_unanswered for o in group),
        "slowest_hazard_reaction_ms": max(answered_ms, default=None),
        "wrong": [o.seed for o in group if wrong(o)],
    }


def wrong(one: Outcome) -> bool:
    """Whether it went otherwise than is wanted: what a picture is wanted of."""
    return not one.safe or one.ended is not one.wanted or one.false_stops > 0 or one.needless_brakes > 0


def _extent(outcomes: Sequence[Outcome]) -> str:
    many, minutes = len(outcomes), sum(one.seconds for one in outcomes) / 60
    return f"{many} drive{'s'[: many != 1]}, {minutes:.3g} generated minutes"


def _count(key: str, wrong: Sequence[bool], method: str) -> Result:
    """Of drives in which it happened; none may."""
    return Result(key, sum(wrong), "1", len(wrong), method, bar=0.0)


def _rate(key: str, events: int, hours: float, method: str) -> Result:
    value, low, high = per_hour(events, hours)
    return Result(key, value, "1/h", max(1, round(hours * 3600)), f"{method}; n in seconds", low, high)


def _part(key: str, right: Sequence[bool], method: str) -> Result:
    rate = Rate(sum(right), len(right))
    low, high = rate.interval
    return Result(key, rate.value, "1", rate.n, method, low, high)
