"""The tiny preset as a user runs it, on what the pipeline gives: tools within a minute. On a machine of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_most, stated
from agentforge.phase6_baking.experiments.agent import SEEDS, given, kept_rows, told, tool_rows

LENGTH = "the tiny preset"
MINUTE_S = 60
FAMILIES = ("arithmetic", "nested", "recall")


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    with TemporaryDirectory(prefix="af-tiny-") as scratch:
        return told(given(Path(scratch), seed), Path(scratch), seed, [])


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = [results[str(seed)] for seed in SEEDS]
    seconds = [float(one["seconds"]) for one in every]
    found = [
        at_most("The tiny preset takes a minute", MINUTE_S, seconds, "s", method="start and end of the program too")
    ]
    found += tool_rows(every, LENGTH) + kept_rows(every, LENGTH)
    for family in FAMILIES:
        for who in ("input", "baked"):
            values = [float(one[f"{who}/skill_accuracy/{family}"]) for one in every]
            found.append(stated(f"{who}: {family}", values, "1"))
    return found
