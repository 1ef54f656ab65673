"""`agentforge eval`: what a model can do, measured on held-out items and text. Nothing but what was measured."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.cli.chat import load

if TYPE_CHECKING:
    from agentforge.kit.measure import Measurement
    from agentforge.train.harness import Harness


@dataclass(frozen=True)
class EvalOptions:
    model: Path
    families: list[str]
    items: int
    trust_remote_code: bool
    as_json: bool
    lm_eval: list[str] = field(default_factory=list)
    lm_eval_path: Path | None = None


def evaluate(options: EvalOptions) -> int:
    harness = _harness(options)
    loaded = load(options.model, trust_remote_code=options.trust_remote_code, offline=harness is None)
    from agentforge.data.codec import Codec
    from agentforge.tools.saving import load_tools
    from agentforge.train.engine import use_kernels
    from agentforge.train.examine import examine, plan

    codec = Codec(loaded.tokenizer)
    planned = plan(loaded, codec, options.items, options.families)
    engine = use_kernels(loaded.model)
    kit = load_tools(loaded.directory, trusted=options.trust_remote_code, marks=loaded.tokenizer.all_special_tokens)
    measured: list[Measurement] = []
    for one in examine(loaded, codec, planned, kit):
        measured.append(one)
        if not options.as_json:
            _print(one)
    others = harness.run(loaded) if harness is not None else {}
    if options.as_json:
        report = _report(loaded.directory, measured, planned.skipped)
        report |= {"engine": engine} if engine else {}
        print(json.dumps({**report, "lm_eval": others} if others else report))
        return 0
    for task, numbers in others.get("tasks", {}).items():
        for name, value in numbers.items():
            if isinstance(value, float):
                print(f"{f'{task} {name}':<30} {value:.4g}  (n={numbers['n']})")
    if engine:
        print(f"ternary layers computed by {engine}", file=sys.stderr)
    for name, why in planned.skipped.items():
        print(f"not measured: {name}: {why}", file=sys.stderr)
    return 0


def _harness(options: EvalOptions) -> Harness | None:
    """Its tasks are looked up before anything is measured."""
    if not options.lm_eval:
        return None
    from agentforge.train.harness import Harness

    return Harness(options.lm_eval, options.lm_eval_path)


def _report(directory: Path, measured: list[Measurement], skipped: dict[str, str]) -> dict[str, Any]:
    families: dict[str, dict[str, float]] = {}
    report: dict[str, Any] = {"model": str(directory), "families": families}
    for one in measured:
        kind, _, family = one.name.partition("/")
        if family:
            families.setdefault(family, {"n": one.n})[kind] = one.value
        else:
            report[one.name] = one.value
            if one.name != "parameters":
                report[f"{one.name}_n"] = one.n
    listed = [{key: value for key, value in asdict(one).items() if key != "step"} for one in measured]
    return {**report, "skipped": skipped, "measurements": listed}


def _print(one: Measurement) -> None:
    value = f"{one.value:,}" if isinstance(one.value, int) else f"{one.value:.4g}"
    unit = "" if one.unit == "1" else f" {one.unit}"
    print(f"{one.name:<30} {value}{unit}  (n={one.n:,})", flush=True)
