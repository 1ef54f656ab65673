"""`agentforge eval`: what a model can do, measured on held-out items and text. Nothing but what was measured."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.cli.chat import load

if TYPE_CHECKING:
    from agentforge.kit.measure import Measurement

_FAMILY = "accuracy/"


@dataclass(frozen=True)
class EvalOptions:
    model: Path
    families: list[str]
    items: int
    trust_remote_code: bool
    as_json: bool


def evaluate(options: EvalOptions) -> int:
    loaded = load(options.model, trust_remote_code=options.trust_remote_code)
    from agentforge.train.examine import codec_of, examine, plan

    codec = codec_of(loaded)
    planned = plan(loaded, codec, options.items, options.families)
    measured: list[Measurement] = []
    for one in examine(loaded, codec, planned):
        measured.append(one)
        if not options.as_json:
            _print(one)
    if options.as_json:
        print(json.dumps(_report(loaded.directory, measured, planned.skipped)))
        return 0
    for name, why in planned.skipped.items():
        print(f"not measured: {name}: {why}", file=sys.stderr)
    return 0


def _report(directory: Path, measured: list[Measurement], skipped: dict[str, str]) -> dict[str, Any]:
    families = {
        one.name.removeprefix(_FAMILY): {"accuracy": one.value, "n": one.n}
        for one in measured
        if one.name.startswith(_FAMILY)
    }
    report: dict[str, Any] = {"model": str(directory), "families": families}
    for one in measured:
        if not one.name.startswith(_FAMILY):
            report[one.name] = one.value
            if one.name != "parameters":
                report[f"{one.name}_n"] = one.n
    listed = [{key: value for key, value in asdict(one).items() if key != "step"} for one in measured]
    return {**report, "skipped": skipped, "measurements": listed}


def _print(one: Measurement) -> None:
    name = one.name.removeprefix(_FAMILY)
    value = f"{one.value:,}" if isinstance(one.value, int) else f"{one.value:.4g}"
    unit = "" if one.unit == "1" else f" {one.unit}"
    print(f"{name:<20} {value}{unit}  (n={one.n:,})", flush=True)
