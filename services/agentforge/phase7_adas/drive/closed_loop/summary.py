"""What many drives say together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from agentforge.phase7_adas.drive.closed_loop.outcome import Outcome
from agentforge.phase7_adas.drive.evidence.intervals import Rate, per_hour
from agentforge.phase7_adas.drive.evidence.results import Result
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.scenarios.scenario import Family

REACTION_BAR_MS = 100.0


def results(outcomes: Sequence[Outcome]) -> list[Result]:
    hours = sum(one.seconds for one in outcomes) / 3600
    kinds = len({o.scenario for o in outcomes})
    how = f"{len(outcomes)} drives, {hours * 60:.0f} generated minutes, {kinds} scenarios"
    found = [
        _count("closed_loop/caused_collisions", [not o.safe for o in outcomes], how),
        _rate("closed_loop/caused_collisions_per_hour", sum(o.caused for o in outcomes), hours, how),
        _rate("closed_loop/false_stops_per_hour", sum(o.false_stops for o in outcomes), hours, how),
        _rate("closed_loop/needless_brakes_per_hour", sum(o.needless_brakes for o in outcomes), hours, how),
        _rate("closed_loop/minimal_risk_per_hour", sum(o.minimal_risk for o in outcomes), hours, how),
        _part("closed_loop/as_wanted", [o.ended is o.wanted for o in outcomes], how),
    ]
    return found + _of_faults([o for o in outcomes if SCENARIOS[o.scenario].faults])


def _of_faults(injected: Sequence[Outcome]) -> list[Result]:
    if not injected:
        return []
    how = f"{len(injected)} drives with one injected fault, {len({o.scenario for o in injected})} scenarios"
    found = [_count("faults/unsafe", [not o.safe for o in injected], how)]
    noticed = [o.detected_ms for o in injected if o.detected_ms is not None]
    found.append(_part("faults/noticed", [o.detected_ms is not None for o in injected], how))
    if noticed:
        found.append(
            _worst(
                "faults/detected_ms",
                noticed,
                "ms",
                f"{how}; from injection to the verdict that names any fault of the car",
            )
        )
    reacted = [o.reacted_ms for o in injected if o.reacted_ms is not None]
    if reacted:
        method = f"{how}; from that verdict to the mode that its fault asks for, the slowest"
        found.append(_worst("faults/reacted_ms", reacted, "ms", method, bar=REACTION_BAR_MS))
        never = [o.reacted_ms is None for o in injected if o.detected_ms is not None]
        found.append(_count("faults/unanswered", never, how))
    return found


def by_scenario(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        groups[one.scenario].append(one)
    return [_row(name, groups[name]) for name in sorted(groups)]


def _row(name: str, group: Sequence[Outcome]) -> dict[str, Any]:
    scenario = SCENARIOS[name]
    reacted = [o.reacted_ms for o in group if o.reacted_ms is not None]
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
    }


def nominal(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Where nothing that is dangerous happens: the place to count false stops."""
    return [o for o in outcomes if SCENARIOS[o.scenario].family is Family.NOMINAL]


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


def _worst(key: str, values: Sequence[float], unit: str, method: str, bar: float | None = None) -> Result:
    return Result(key, float(np.max(values)), unit, len(values), method, bar=bar)
