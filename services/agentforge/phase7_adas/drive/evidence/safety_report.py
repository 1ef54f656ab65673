"""adas_safety_report.json: hazards, goals, requirements, tests and results, linked both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from agentforge.phase7_adas.drive.evidence.fmeda import MODES
from agentforge.phase7_adas.drive.evidence.hara import ASSUMED, GOALS, HAZARDS, goal_asil
from agentforge.phase7_adas.drive.evidence.intervals import cases_needed
from agentforge.phase7_adas.drive.evidence.parts import BANDS_M, FAR_M, KINDS
from agentforge.phase7_adas.drive.evidence.requirements import REQUIREMENTS, Requirement
from agentforge.phase7_adas.drive.evidence.results import Result, by_key
from agentforge.phase7_adas.drive.evidence.uncovered import GENERATED_ONLY, NOT_COVERED

WHAT_IT_IS = "Evidence for the safety goals below. It claims compliance with no standard."
THRESHOLD_FALSE_NEGATIVES = 1e-4
"""The seeds' 0.01 %."""


def safety_report(
    results: Sequence[Result],
    scenarios: Sequence[Mapping[str, Any]],
    tests: Mapping[str, Sequence[str]],
    faults: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """`scenarios`: summary.by_scenario; `tests`: by requirement, the names of tests that are marked with it;
    `faults`: by_fault.by_fault."""
    found = by_key(results)
    return {
        "format": 2,
        "what_it_is": WHAT_IT_IS,
        "limits": [GENERATED_ONLY, ASSUMED],
        "hazards": [{**asdict(each), "asil": each.asil, "goals": _goals_of(each.id)} for each in HAZARDS],
        "goals": [
            {**asdict(each), "asil": goal_asil(each), "requirements": _requirements_of(each.id)} for each in GOALS
        ],
        "requirements": [_requirement(each, found, tests) for each in REQUIREMENTS],
        "results": [
            {**one.told(), "requirements": [each.id for each in REQUIREMENTS if one.key in each.results]}
            for one in results
        ],
        "scenarios": [dict(each) for each in scenarios],
        "faults": [dict(each) for each in faults],
        "sensors": [_mode(each, scenarios, faults) for each in _modes()],
        "false_negatives": {
            "threshold": THRESHOLD_FALSE_NEGATIVES,
            "cases_needed_without_one_miss": cases_needed(THRESHOLD_FALSE_NEGATIVES),
            "rates": _misses(found),
        },
        "not_covered": [{"asked_by": where, "what": what} for where, what in NOT_COVERED],
    }


def _goals_of(hazard: str) -> list[str]:
    return [each.id for each in GOALS if hazard in each.hazards]


def _requirements_of(goal: str) -> list[str]:
    return [each.id for each in REQUIREMENTS if goal in each.goals]


def _requirement(
    one: Requirement, found: Mapping[str, Result], tests: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    missing = [key for key in one.results if key not in found]
    return {
        "id": one.id,
        "text": one.text,
        "goals": list(one.goals),
        "results": list(one.results),
        "tests": sorted(tests.get(one.id, ())),
        "verdict": _verdict([found[key] for key in one.results if key in found], missing),
        "not_measured": missing,
    }


def _verdict(found: Sequence[Result], missing: Sequence[str]) -> str:
    if any(each.verdict == "not reached" for each in found):
        return "not reached"
    if missing:
        return "not measured"
    if any(each.verdict.startswith("not shown") for each in found):
        return "not shown"
    if any(each.met is None for each in found):
        return "measured; no bar is set"
    return f"held in all of {min(each.n for each in found):,} cases"


def _modes() -> list[dict[str, Any]]:
    return [{"sensor": each.sensor, "kind": each.kind.value, "effect": each.effect, "noticed_by": each.noticed_by}
            for each in MODES]  # fmt: skip


def _mode(
    mode: dict[str, Any], scenarios: Sequence[Mapping[str, Any]], faults: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """With the scenarios that inject it, none is told as none; and how often it was noticed in them."""
    shown = [each["scenario"] for each in scenarios if [mode["sensor"], mode["kind"]] in each.get("injected", [])]
    driven = [each for each in faults if (each["where"], each["kind"]) == (mode["sensor"], mode["kind"])]
    counts = {name: sum(each[name] for each in driven) for name in ("drives", "noticed")}
    return {**mode, "scenarios": shown, **counts}


def _misses(found: Mapping[str, Result]) -> list[dict[str, Any]]:
    """By class and distance, as far as it was measured."""
    rates = []
    for kind in KINDS:
        for band in (FAR_M, *BANDS_M):
            one = found.get(f"perception/false_negative_rate/{kind}" + ("" if band == FAR_M else f"/{band}"))
            if one is not None:
                rates.append({"class": kind, "metres": band, "rate": one.value, "low": one.low, "high": one.high,
                              "n": one.n, "source": one.source})  # fmt: skip
    return rates
