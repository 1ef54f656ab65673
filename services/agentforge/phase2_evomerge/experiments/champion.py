"""The tiny preset: specialists made by Cognate, evolved in two ways, and a generalist of equal compute beside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, clearly_above, exactly, stated
from agentforge.kit.phase import load_pipeline
from agentforge.kit.whole_run import accuracies, outputs, run_phase
from agentforge.phase2_evomerge.experiments.scores import PARENTS, SEEDS, quality, summary

STAGES = ("trunk", *PARENTS)
ALGORITHMS = ("cma_es", "genetic")
GENERATIONS = 20  # for both, without early stop: equal evaluations
SEEDS_WEIGHTS = ["weights.perplexity=0.4", "weights.accuracy=0.3", "weights.speed=0.2", "weights.memory=0.1"]
ROWS = 64  # of a generalist's step


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    with TemporaryDirectory(prefix="af-champion-") as scratch:
        home = Path(scratch)
        made = outputs(run_phase("cognate", home, [f"seed={seed}", *_one_thread()]))
        found = {}
        for algorithm in ALGORITHMS:
            settings = [
                f"seed={seed}",
                f"algorithm={algorithm}",
                f"generations={GENERATIONS}",
                "patience=0",
                *SEEDS_WEIGHTS,
            ]
            inputs = [made[name] for name in STAGES]
            found[algorithm] = summary(run_phase("evomerge", home, settings, inputs=inputs))
        line = run_phase("cognate", home / "generalist", [f"seed={seed}", *_one_thread(), *_generalist()])
        return {**found, "generalist": accuracies(line)["trunk"]}


def _one_thread() -> list[str]:
    return [f"{stage}.train.threads=1" for stage in STAGES]


def _generalist() -> list[str]:
    """One model sees as many rows as trunk and branches together, in their proportions; branches take one step."""
    preset = load_pipeline().preset("tiny", "cognate")
    seen = {stage: preset[stage]["train"]["steps"] * preset[stage]["train"]["batch"] for stage in STAGES}
    mix: dict[str, float] = {}
    for stage in STAGES:
        whole = sum(preset[stage]["mix"].values())
        for source, weight in preset[stage]["mix"].items():
            mix[source] = mix.get(source, 0.0) + seen[stage] * weight / whole
    steps = round(sum(seen.values()) / ROWS)
    found = [f"trunk.train.steps={steps}", f"trunk.train.batch={ROWS}", "trunk.train.schedule=wsd"]
    found += [f"trunk.mix.{source}={round(weight)}" for source, weight in mix.items()]
    return found + [f"{name}.train.{setting}" for name in PARENTS for setting in ("steps=1", "warmup=0")]


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    cma, genetic = ([result[algorithm] for result in results.values()] for algorithm in ALGORITHMS)
    found = quality(cma, "recipes by CMA-ES, the seeds' weights")
    generalist = [fmean(result["generalist"].values()) for result in results.values()]
    found.append(stated("a generalist of equal total compute: accuracy, mean over families", generalist, "1"))
    gained = [a["fitness"]["champion"] - b["fitness"]["champion"] for a, b in zip(cma, genetic, strict=True)]
    method = f"difference of fitness on the test split after {GENERATIONS} generations of 8 each"
    found.append(
        clearly_above("CMA-ES over recipes beats the seeds' genetic evolution", 0, gained, "1", method=method)
    )
    for name, ones in (("CMA-ES", cma), ("genetic", genetic)):
        found.append(stated(f"{name}: fitness", [one["fitness"]["champion"] for one in ones], "1"))
        found.append(stated(f"{name}: seconds, one thread", [one["seconds"] for one in ones], "s"))
    used = [float(sum(count > 0 for count in one["usage"].values())) for one in (*cma, *genetic)]
    found.append(exactly("All eight combinations are used", 8, used, "1", method="counted in the evolutions' logs"))
    least = [min(one["diversity_per_gen"]) for one in genetic]
    method = "share of answer tokens at which two models differ, mean over pairs; the least of all generations"
    found.append(at_least("genetic: diversity stays above .3", 0.3, least, "1", theirs=True, method=method))
    for place, when in ((0, "at the start"), (GENERATIONS // 2, "half-way"), (-1, "at the end")):
        spread = [one["diversity_per_gen"][place] for one in genetic]
        found.append(stated(f"genetic: disagreement within the population, {when}", spread, "1"))
    return found
