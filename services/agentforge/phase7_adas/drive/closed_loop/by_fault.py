"""Each fault that was injected: whether it was named, by what, how soon; and what came of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from agentforge.phase7_adas.drive.closed_loop.outcome import Outcome
from agentforge.phase7_adas.drive.evidence.intervals import Rate
from agentforge.phase7_adas.drive.evidence.naming import names_of
from agentforge.phase7_adas.drive.evidence.results import Result
from agentforge.phase7_adas.drive.injected import FaultKind
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.scenarios.scenario import Wanted

REACTION_BAR_MS = 100.0


def results(outcomes: Sequence[Outcome]) -> list[Result]:
    injected = [o for o in outcomes if SCENARIOS[o.scenario].faults]
    if not injected:
        return []
    how = f"{len(injected)} drives with one injected fault, {len({o.scenario for o in injected})} scenarios"
    unsafe = sum(not o.safe for o in injected)
    found = [Result("faults/unsafe", unsafe, "1", len(injected), how, bar=0.0)]
    nameable = [o for o in injected if _words(o.scenario)]
    if nameable:
        rate = Rate(sum(o.detected_ms is not None for o in nameable), len(nameable))
        method = f"{len(nameable)} of {how}: those that the monitor has a word for; by that very word"
        found.append(Result("faults/noticed", rate.value, "1", rate.n, method, *rate.interval))
    lied = [o for o in injected if any(each.kind is FaultKind.SPOOF for each in SCENARIOS[o.scenario].faults)]
    if lied:
        believed = sum(o.needless_brakes > 0 or o.minimal_risk > 0 for o in lied)
        method = (
            f"{len(lied)} drives beside a made-up station; it braked hard for nothing, or the monitor took over"
        )
        found.append(Result("v2x/lies_believed", believed, "1", len(lied), method, bar=0.0))
    noticed = [o for o in nameable if o.detected_ms is not None]
    if noticed:
        found += _times(noticed, how)
    return found


def _times(noticed: Sequence[Outcome], how: str) -> list[Result]:
    method = f"{how}; from injection to the verdict that names it"
    taken = np.array([o.detected_ms for o in noticed], dtype=np.float64)
    n = len(noticed)
    found = [
        Result("faults/detected_p50_ms", float(np.median(taken)), "ms", n, method),
        Result("faults/detected_ms", float(taken.max()), "ms", n, f"{method}, the slowest"),
        Result(
            "faults/unanswered", sum(o.reacted_ms is None for o in noticed), "1", n,
            f"{how}; named faults whose mode never came", bar=0.0,
        ),
    ]  # fmt: skip
    reacted = [o.reacted_ms for o in noticed if o.reacted_ms is not None]
    if reacted:
        method = f"{how}; from that verdict to the mode that its fault asks for, the slowest"
        found.append(Result("faults/reacted_ms", max(reacted), "ms", len(reacted), method, bar=REACTION_BAR_MS))
    return found


def by_fault(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """A row for each kind of fault at each place, with all drives that had it."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for one in outcomes:
        for fault in SCENARIOS[one.scenario].faults:
            groups[fault.where, fault.kind.value].append(one)
    return [_row(where, kind, groups[where, kind]) for where, kind in sorted(groups)]


def _row(where: str, kind: str, group: Sequence[Outcome]) -> dict[str, Any]:
    detected = [o.detected_ms for o in group if o.detected_ms is not None]
    reacted = [o.reacted_ms for o in group if o.reacted_ms is not None]
    return {
        "where": where,
        "kind": kind,
        "scenarios": sorted({o.scenario for o in group}),
        "words": sorted({word for o in group for word in _words(o.scenario)}),
        "drives": len(group),
        "noticed": len(detected),
        "named": dict(sorted(Counter(o.named for o in group if o.named is not None).items())),
        "detected_p50_ms": float(np.median(detected)) if detected else None,
        "slowest_detection_ms": max(detected, default=None),
        "slowest_reaction_ms": max(reacted, default=None),
        "caused": sum(o.caused for o in group),
        "safe_stops": sum(o.safe and o.ended is Wanted.MINIMAL_RISK for o in group),
        "went_on": sum(o.safe and o.ended is not Wanted.MINIMAL_RISK for o in group),
    }


def _words(scenario: str) -> set[str]:
    return {name.code for fault in SCENARIOS[scenario].faults for name in names_of(fault)}
