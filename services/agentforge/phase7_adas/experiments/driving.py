"""The driving pipeline in closed loop, in generated worlds: what it hits, why it stops, how it answers faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_most, stated

SEEDS = (1, 2, 3)
MINUTES = 20.0  # of each seed: a variation each of some 57 of 81 scenarios, others at another seed
REACTION_MS = 100.0


def trials() -> list[Trial]:
    return [Trial(f"drives/{seed}", {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    from agentforge.phase7_adas.drive.closed_loop.many import drive_many, tasks
    from agentforge.phase7_adas.drive.closed_loop.summary import results

    return {one.key: one.told() for one in results(drive_many(tasks(MINUTES, seed)))}


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    return _drives([results[f"drives/{seed}"] for seed in SEEDS])


_CLAIMS = {
    "closed_loop/caused_collisions": ("Drives in which the ego causes a collision", 0.0, "1"),
    "faults/unsafe": ("Drives with an injected fault that end unsafely", 0.0, "1"),
    "faults/reacted_ms": ("Slowest mode change after a fault is named", REACTION_MS, "ms"),
    "faults/unanswered": ("Named faults whose mode never came", 0.0, "1"),
    "v2x/lies_believed": ("Made-up stations that it brakes hard for", 0.0, "1"),
}
_STATED = {
    "closed_loop/false_stops_per_hour": ("false stops", "1/h"),
    "closed_loop/needless_brakes_per_hour": ("needless hard braking", "1/h"),
    "closed_loop/minimal_risk_per_hour": ("the monitor takes over", "1/h"),
    "closed_loop/minimal_risk_without_fault_per_hour": ("it takes over without an injected fault", "1/h"),
    "closed_loop/as_wanted": ("ends as is wanted", "1"),
    "hazards/foreseen": ("hazards on the road for which it braked already as they began", "1"),
    "hazards/reaction_p50_ms": ("a hazard's beginning to the command that brakes, median of the others", "ms"),
    "hazards/reaction_p95_ms": ("likewise, 95th percentile", "ms"),
    "hazards/reaction_p95_without_fault_ms": ("likewise, in drives without an injected fault", "ms"),
    "hazards/reaction_ms": ("likewise, the slowest", "ms"),
    "hazards/unanswered": ("hazards for which it never braked", "1"),
    "ego/off_m": ("farthest from where it trusts itself to be", "m"),
    "faults/noticed": ("noticed, of faults that the monitor has a word for, by that word", "1"),
    "faults/detected_p50_ms": ("injection to that word, median", "ms"),
    "faults/false_alarms_per_hour": ("faults of the car told where none was injected", "1/h"),
}
_ORDER = (
    "closed_loop/caused_collisions", "closed_loop/false_stops_per_hour", "closed_loop/needless_brakes_per_hour",
    "closed_loop/minimal_risk_per_hour", "closed_loop/minimal_risk_without_fault_per_hour", "closed_loop/as_wanted",
    "hazards/foreseen", "hazards/reaction_p50_ms", "hazards/reaction_p95_ms",
    "hazards/reaction_p95_without_fault_ms", "hazards/reaction_ms", "hazards/unanswered", "ego/off_m",
    "faults/unsafe", "faults/noticed", "faults/detected_p50_ms", "faults/false_alarms_per_hour",
    "faults/reacted_ms", "faults/unanswered", "v2x/lies_believed",
)  # fmt: skip


def _drives(drives: list[dict[str, Any]]) -> list[Row]:
    """A seed says nothing of what did not happen in it: without a fault there is no reaction."""
    found = []
    for key in _ORDER:
        there = [one[key] for one in drives if key in one]
        if not there:
            continue
        values, how = [one["value"] for one in there], f"{MINUTES:g} generated minutes of variations at each seed"
        if key in _CLAIMS:
            text, most, unit = _CLAIMS[key]
            found.append(at_most(text, most, values, unit, method=how))
            continue
        text, unit = _STATED[key]
        spans = [f"{one['low']:.3g} to {one['high']:.3g}" for one in there if one["low"] is not None]
        sure = f"; 95 % by seed: {', '.join(spans)}" if spans else ""
        found.append(stated(text, values, unit, method=how + sure))
    return found
