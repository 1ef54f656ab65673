"""Specialists whose trunk knows their skills, too: what merging gives there, and from independent starts.

The tiny preset's specialists each learn something that the others have forgotten or never knew. Here every stage
sees all families (reversing, copying and sorting a few letters), a branch its own most.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_most, stated
from agentforge.kit.phase import load_pipeline
from agentforge.kit.whole_run import outputs, run_phase
from agentforge.phase2_evomerge.experiments.scores import PARENTS, SEEDS, quality, summary

INITS = ("shared", "independent")
FAMILIES = dict(zip(PARENTS, ("reverse", "copy", "sort"), strict=True))
DIFFICULTIES = [2, 3]
STEPS = {"trunk": 150, **dict.fromkeys(PARENTS, 100)}


def trials() -> list[Trial]:
    return [Trial(f"{init}/{seed}", {"init": init, "seed": seed}) for init in INITS for seed in SEEDS]


def measure(init: str, seed: int) -> dict[str, Any]:
    with TemporaryDirectory(prefix="af-mergeable-") as scratch:
        home = Path(scratch)
        made = outputs(run_phase("cognate", home, [f"init={init}", f"seed={seed}", *_parents(seed)]))
        given = ",".join(f'"{family}":{DIFFICULTIES}' for family in FAMILIES.values())
        # No preset: what it says of families would be added to these.
        settings = [f"seed={seed}", f"evaluation.families={{{given}}}", "evaluation.items=100", "parameters=null"]
        settings += ["generations=20", "patience=0", "threads=1"]
        inputs = [made[name] for name in ("trunk", *PARENTS)]
        return summary(run_phase("evomerge", home, settings, inputs=inputs, preset=""))


def _parents(seed: int) -> list[str]:
    """Over the tiny preset. The branches' seeds follow the root's: independent starts differ from run to run."""
    preset = load_pipeline().preset("tiny", "cognate")
    found = [f"data.difficulties.{family}={DIFFICULTIES}" for family in FAMILIES.values()]
    found += [f"{name}.family={family}" for name, family in FAMILIES.items()]
    found += ["evaluation.items=10", "evaluation.texts=1", "model.act=false"]
    for stage, steps in STEPS.items():
        train = {"steps": steps, "batch": 64, "threads": 1, "checkpoint_every": 0}
        found += [f"{stage}.train.{key}={value}" for key, value in train.items()]
        own = {family: 3 if family == FAMILIES.get(stage) else 1 for family in FAMILIES.values()}
        mix = {**dict.fromkeys(preset[stage]["mix"], 0), **own}
        found += [f"{stage}.mix.{source}={weight}" for source, weight in mix.items()]
    return [*found, *(f"{name}.seed={10 * seed + number}" for number, name in enumerate(PARENTS))]


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    shared, independent = ([results[f"{init}/{seed}"] for seed in SEEDS] for init in INITS)
    found = quality(shared, "recipes by CMA-ES, one trunk")
    kept = [
        fmean(one["accuracy"]["linear"].values()) / fmean(fmean(one["accuracy"][p].values()) for p in PARENTS)
        for one in independent
    ]
    method = "accuracy of the plain mean over the mean of its parents', test split; earlier: .049 against .658"
    found.append(
        at_most("From independent starts the mean has lost nearly all", 0.1, kept, "1", theirs=True, method=method)
    )
    for name in ("champion", "linear"):
        accuracy = [fmean(one["accuracy"][name].values()) for one in independent]
        found.append(stated(f"independent starts, {name}: accuracy", accuracy, "1"))
    best = [max(fmean(one["accuracy"][p].values()) for p in PARENTS) for one in independent]
    found.append(stated("independent starts, best parent: accuracy", best, "1"))
    return found
