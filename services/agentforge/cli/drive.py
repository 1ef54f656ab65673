"""`agentforge drive`: scenarios of the driving pipeline, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agentforge.kit.errors import MissingTool

if TYPE_CHECKING:
    from agentforge.phase7_adas.drive.closed_loop.outcome import Outcome
    from agentforge.phase7_adas.drive.evidence.results import Result
    from agentforge.phase7_adas.drive.showing import Shown


@dataclass(frozen=True)
class DriveOptions:
    names: tuple[str, ...]
    listed: bool
    minutes: float | None
    seed: int
    jobs: int
    out: Path | None
    as_json: bool


def run_drive(options: DriveOptions) -> int:
    try:
        return _list(as_json=options.as_json) if options.listed else _drive(options)
    except ModuleNotFoundError as error:
        from agentforge.phase7_adas.configs.driving import PACKAGES

        package = (error.name or "").partition(".")[0]
        if package not in PACKAGES:
            raise
        message = f"driving needs the package {package!r}, which is not installed"
        step = "Install it: pip install 'agentforge[drive]'."
        raise MissingTool(message, field=package, next_step=step) from error


def _list(*, as_json: bool) -> int:
    from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS

    if as_json:
        rows = [
            {"name": one.name, "family": one.family.value, "summary": one.summary, "seconds": one.seconds,
             "wanted": one.wanted.value}
            for one in SCENARIOS.values()
        ]  # fmt: skip
        print(json.dumps(rows))
        return 0
    width = max(len(name) for name in SCENARIOS)
    family = ""
    for one in SCENARIOS.values():
        if one.family.value != family:
            family = one.family.value
            print(f"\n{family}")
        print(f"  {one.name:{width}}  {one.summary}")
    return 0


def _drive(options: DriveOptions) -> int:
    from agentforge.phase7_adas.drive.showing import chosen, show

    wanted = chosen(options.names, options.minutes, options.seed)
    width = max((len(task.scenario) for task in wanted), default=0)
    told = repr if options.as_json else partial(_outcome, width)
    shown = show(wanted, options.out, options.jobs, told)
    if options.as_json:
        print(json.dumps({"outcomes": [asdict(one) for one in shown.outcomes],
                          "results": [one.told() for one in shown.results]}))  # fmt: skip
    else:
        _tell(shown, options.out)
    return 0


def _tell(shown: Shown, out: Path | None) -> None:
    print()
    _results(shown.results)
    if out is not None:
        from agentforge.phase7_adas.drive.showing import PAGE

        print(f"\nThe report: {out / PAGE}")


def _outcome(width: int, one: Outcome) -> None:
    what = f"hit somebody ({one.caused} of {one.collisions} by its own fault)" if one.collisions else one.ended
    wanted = "" if one.ended is one.wanted else f", wanted: {one.wanted}"
    stops = f", {one.false_stops} false stops" if one.false_stops else ""
    answer = "" if one.reacted_ms is None else f", fault answered {one.reacted_ms:.0f} ms after it was noticed"
    print(f"  {one.scenario:{width}}  {what}{wanted}{stops}{answer}", flush=True)


def _results(found: Sequence[Result]) -> None:
    width = max(len(one.key) for one in found)
    for one in found:
        sure = "" if one.low is None or one.high is None else f" ({one.low:.4g} to {one.high:.4g})"
        bar = "" if one.bar is None else f", {one.sense} {one.bar:.4g}: {one.verdict}"
        print(f"  {one.key:{width}}  {one.value:.4g} {one.unit}{sure}{bar}")
    print("  Generated worlds and sensors; intervals at 95 %.")
