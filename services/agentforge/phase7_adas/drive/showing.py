"""Drives that are asked for by name or by the minute, and the files that tell of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import InvalidInput
from agentforge.phase7_adas.drive.closed_loop.by_fault import by_fault
from agentforge.phase7_adas.drive.closed_loop.many import PICTURES, ROUNDS, Task, drive_many, tasks
from agentforge.phase7_adas.drive.closed_loop.outcome import Outcome
from agentforge.phase7_adas.drive.closed_loop.pictures import strips
from agentforge.phase7_adas.drive.closed_loop.summary import by_scenario, results
from agentforge.phase7_adas.drive.evidence.page import page
from agentforge.phase7_adas.drive.evidence.recorded import recorded
from agentforge.phase7_adas.drive.evidence.results import Result
from agentforge.phase7_adas.drive.evidence.safety_report import safety_report
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS

REPORT, PAGE = "adas_safety_report.json", "adas_safety_report.html"
_TESTS = Path(__file__).parent / "evidence" / "tests.json"


@dataclass(frozen=True)
class Shown:
    outcomes: list[Outcome]
    results: list[Result]


def chosen(names: Sequence[str], minutes: float | None, seed: int) -> list[Task]:
    """Each name once, as it is written down (seed 0) or varied; or as many variations as fill the minutes."""
    for name in names:
        if name not in SCENARIOS:
            near = get_close_matches(name, SCENARIOS, 1)
            step = f"Did you mean {near[0]!r}? " if near else ""
            message = f"there is no scenario {name!r} among {len(SCENARIOS)}"
            step = f"{step}`agentforge drive --list` names them."
            raise InvalidInput(message, field="SCENARIO", next_step=step)
    if minutes is not None:
        return tasks(minutes, seed, names)
    return [Task(name, seed * ROUNDS) for name in names or sorted(SCENARIOS)]


def show(
    wanted: Sequence[Task],
    out: Path | None,
    jobs: int = 1,
    told: Callable[[Outcome], object] = id,
    parts: Mapping[str, Sequence[Result]] | None = None,
) -> Shown:
    """`out`: a new folder, or that of the same call that was killed. `told` hears of each drive when it is over."""
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    outcomes = drive_many(wanted, out, jobs, told)
    found = with_parts(results(outcomes), parts or {})
    if out is not None:
        write_report(outcomes, found, out)
    return Shown(outcomes, found)


def with_parts(found: Sequence[Result], parts: Mapping[str, Sequence[Result]]) -> list[Result]:
    """Of each part what was measured here; else what was recorded, with its own code's digest; else nothing."""
    chosen = {**recorded(), **parts}
    return [*found, *(one for part in sorted(chosen) for one in chosen[part])]


def write_report(outcomes: Sequence[Outcome], found: Sequence[Result], out: Path) -> None:
    """What is not among the results, the report calls not measured."""
    tests = json.loads(_TESTS.read_text())
    report = safety_report(found, by_scenario(outcomes), tests, by_fault(outcomes))
    (out / REPORT).write_bytes(canonical_json(report))
    (out / PAGE).write_text(page(report, strips(out / PICTURES)))
