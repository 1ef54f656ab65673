"""The tiny preset with fitness that asks for answers first: accuracy 60 %, perplexity 10 %."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, at_most, stated
from agentforge.kit.whole_run import outputs, run_phase
from agentforge.phase2_evomerge.experiments.scores import PARENTS, SEEDS, summary

WEIGHTS = {"perplexity": 0.1, "accuracy": 0.6, "speed": 0.2, "memory": 0.1}


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    with TemporaryDirectory(prefix="af-priorities-") as scratch:
        made = outputs(run_phase("cognate", Path(scratch), [f"seed={seed}"]))
        settings = [f"seed={seed}", *(f"weights.{name}={weight}" for name, weight in WEIGHTS.items())]
        inputs = [made[name] for name in ("trunk", *PARENTS)]
        return summary(run_phase("evomerge", Path(scratch), settings, inputs=inputs))


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = list(results.values())
    champion = [_accuracy(one, "champion") for one in every]
    best = [max(_accuracy(one, name) for name in PARENTS) for one in every]
    method = (
        "accuracy on the test split, mean over families, less the best parent's; accuracy 60 %, perplexity 10 %"
    )
    claim = "With accuracy first the champion answers as much as the best parent, within .01"
    gained = [one - other for one, other in zip(champion, best, strict=True)]
    found = [at_least(claim, -0.01, gained, "1", method=method)]
    found += [stated("champion: accuracy", champion, "1"), stated("best parent: accuracy", best, "1")]
    for name in ("champion", *PARENTS):
        found.append(stated(f"{name}: perplexity", [one["perplexity"][name] for one in every], "1"))
    seconds = [one["seconds"] for one in every]
    method = "agentforge phase evomerge --preset tiny, start and evaluation on the test split included"
    return [*found, at_most("The evolution of the tiny preset takes a minute", 60, seconds, "s", method=method)]


def _accuracy(one: Mapping[str, Any], who: str) -> float:
    return fmean(one["accuracy"][who].values())
