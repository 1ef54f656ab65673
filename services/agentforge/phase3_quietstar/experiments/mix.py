"""The pipeline's own mix: the tiny preset from the start, its champion trained with thoughts and without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, clearly_above, stated
from agentforge.kit.whole_run import accuracies, outputs, run_phase, value
from agentforge.train.directory import read_json

SEEDS = (42, 1337, 2023)
STAGES = ("trunk", "reasoning", "memory_integration", "adaptive_computation")
FAMILIES = ("arithmetic", "nested", "recall")
WORKED = ("data.worked=[arithmetic,nested]", "evaluation.items=40", "evaluation.test_items=80")
# Spoiled thoughts are not measured where few items are hard enough for one.
WHO = ("input", "thoughtless", "thinking", "thinking_off")


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    with TemporaryDirectory(prefix="af-mix-") as scratch:
        home = Path(scratch)
        one_thread = [f"{stage}.train.threads=1" for stage in STAGES]
        made = outputs(run_phase("cognate", home, [f"seed={seed}", *one_thread]))
        models = [made[name] for name in STAGES]
        champion = outputs(run_phase("evomerge", home, [f"seed={seed}"], inputs=models))["champion"]
        found = {}
        for against in ("tokens", "compute"):
            settings = [f"seed={seed}", f"thoughtless={against}", "keep=thinking", *WORKED, "thinking.steps=30"]
            found[against] = _summary(run_phase("quietstar", home, settings, inputs=[champion]))
        return found


def _summary(line: dict[str, Any]) -> dict[str, Any]:
    record = read_json(outputs(line)["model"] / "quietstar.json")
    return {
        "seconds": line["seconds"],
        "threshold": record["habits"]["threshold"],
        "selection": record["record"]["selection"],
        "accuracy": {who: accuracies(line)[who] for who in WHO},
        "hard_loss": {who: value(line, f"quietstar/{who}/hard_loss") for who in WHO},
    }


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = list(results.values())
    found = []
    for against, what in (("tokens", "as many tokens"), ("compute", "as much compute")):
        less = [_hard(one[against], "thoughtless") - _hard(one[against], "thinking") for one in every]
        claim = f"The pipeline's mix: loss on the hardest tenth falls, against {what} without thoughts"
        found.append(clearly_above(claim, 0, less, "nat", method="tiny preset, test split, nats saved"))
        who = ("input", "thoughtless", "thinking")
        found += [
            stated(f"{each}: loss on the hardest tenth", [_hard(o[against], each) for o in every], "nat")
            for each in who
        ]
        more = [_right(one[against], "thinking") - _right(one[against], "thoughtless") for one in every]
        claim = f"The pipeline's mix: more right answers than {what} without thoughts"
        found.append(clearly_above(claim, 0, more, "1", method="exact answers, mean over the three families"))
        for family in FAMILIES:
            for each in ("thoughtless", "thinking"):
                right = [one[against]["accuracy"][each][family] for one in every]
                found.append(stated(f"{each}: {family}", right, "1"))
    return found


def _hard(one: Mapping[str, Any], who: str) -> float:
    return float(one["hard_loss"][who])


def _right(one: Mapping[str, Any], who: str) -> float:
    return fmean(one["accuracy"][who].values())
