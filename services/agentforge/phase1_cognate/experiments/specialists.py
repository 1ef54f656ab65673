"""The tiny preset, run for real from three root seeds: what each specialist can do, and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, at_most, clearly_above, stated
from agentforge.kit.phase import load_pipeline
from agentforge.kit.whole_run import accuracies, run_phase, value
from agentforge.phase1_cognate.config import SPECIALISTS

SEEDS = (42, 1337, 2023)
WANTED = 0.8  # accuracy at the specialist's own family
PATIENCE_S = 150.0


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    """The root seed decides trunk, tokenizer and held-out items; the branches keep the preset's seeds."""
    with TemporaryDirectory(prefix="af-specialists-") as scratch:
        return numbers(run_phase("cognate", Path(scratch), [f"seed={seed}"]))


def numbers(line: dict[str, Any]) -> dict[str, Any]:
    preset = load_pipeline().preset("tiny", "cognate")
    names = {one["name"]: one for one in line["measurements"]}
    return {
        "seconds": line["seconds"],
        "family": {name: preset[name]["family"] for name in SPECIALISTS},
        "accuracy": accuracies(line),
        "items": {name.split("/")[3]: one["n"] for name, one in names.items() if name.count("/accuracy/") == 1},
        "margin": {name: value(line, f"cognate/{name}/margin") for name in SPECIALISTS},
        "parameters": value(line, "cognate/trunk/parameters"),
    }


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = list(results.values())
    found: list[Row] = []
    for name in SPECIALISTS:
        family, items = every[0]["family"][name], every[0]["items"][every[0]["family"][name]]
        own = [result["accuracy"][name][family] for result in every]
        method = f"greedy answers to {items} items of the test split; 3 runs of the tiny preset"
        found.append(at_least(f"{name} answers {family} right", WANTED, own, "1", method=method))
        for other in ("trunk", *(each for each in SPECIALISTS if each != name)):
            found.append(stated(f"{other} at {family}", [r["accuracy"][other][family] for r in every], "1"))
        method = "the lowest of " + ", ".join(f"{accuracy:.3f}" for accuracy in own)
        found.append(at_least(f"{name} answers {family} right in each run", WANTED, [min(own)], "1", method=method))
        margins = [result["margin"][name] for result in every]
        method = "accuracy less that of the better of the other two specialists, same items"
        found.append(clearly_above(f"{name} beats the other two at {family}", 0, margins, "1", method=method))
    seconds = [result["seconds"] for result in every]
    size = f"{every[0]['parameters']:,.0f} parameters a model"
    method = f"agentforge phase cognate --preset tiny, start and evaluation included; {size}"
    found.append(at_most("A run of the tiny preset takes minutes", PATIENCE_S, seconds, "s", method=method))
    return found
