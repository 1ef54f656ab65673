"""NSGA-II and TPE beside random search, at equal trials: on a table of every candidate there is, all really healed.

A search of fewer trials is the beginning of a longer one, so each seed searches once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, clearly_above, stated
from agentforge.kit.whole_run import pipeline_model

SEEDS = (42, 1337, 2023)  # of models
ALGORITHMS = {"tpe": "TPE", "nsga2": "NSGA-II", "random": "random search"}
TRIALS = (12, 16, 24, 48)
PRESET = 16  # trials of the claim
SPACE: dict[str, Any] = {"bits": [8, 4], "mlp": [0.75, 0.5, 0.25]}  # wider than the tiny preset's: 72 candidates
SEARCHES = 20  # of each algorithm on each model
ORDER = 0.9  # the bar


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    from agentforge.phase7_adas.experiments.candidates import measured

    with TemporaryDirectory(prefix="af-algorithms-") as scratch:
        model = pipeline_model(Path(scratch), seed)
        told: dict[str, Any] = {"algorithms": list(ALGORITHMS), "trials": TRIALS, "searches": SEARCHES}
        return measured(model, seed, **told, space=SPACE)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = [results[str(seed)] for seed in SEEDS]
    return [*_shares(every), *_order(every)]


def _shares(every: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Models are the samples: searches of one model share its candidates."""
    size = every[0]["space"]
    method = (
        f"share of the hypervolume of all {size} candidates, which were all healed and asked; means of {SEARCHES} "
        "searches on that table, each of so many different candidates, the unsearched first; one sample a model"
    )
    found = []
    for name in ("tpe", "nsga2"):
        gained = [a - b for a, b in zip(_means(every, name, PRESET), _means(every, "random", PRESET), strict=True)]
        claim = f"{ALGORITHMS[name]} covers more of the front than random search with {PRESET} trials"
        found.append(clearly_above(claim, 0, gained, "1", method=method))
        found += [_stated(every, name, count) for count in TRIALS]
    found += [_stated(every, "random", count) for count in TRIALS]
    return [*found, *(_tried(every, name) for name in ALGORITHMS)]


def _tried(every: Sequence[Mapping[str, Any]], name: str) -> Row:
    """A search ends early where nothing new is asked for."""
    claim = f"{ALGORITHMS[name]}: different candidates in searches of {TRIALS[-1]} trials"
    return stated(claim, [fmean(one["tried"][name]) for one in every], "1")


def _stated(every: Sequence[Mapping[str, Any]], name: str, count: int) -> Row:
    claim = f"{ALGORITHMS[name]}: share of the whole front's hypervolume with {count} trials"
    return stated(claim, _means(every, name, count), "1")


def _order(every: Sequence[Mapping[str, Any]]) -> list[Row]:
    told = every[0]["latency"]
    method = (
        f"Spearman's, of {told['architectures']} architectures; steps by {told['engine']}, "
        f"median of {told['repeats']} interleaved repeats"
    )
    flops, moved = ([one["rank_correlation"][name] for one in every] for name in ("flops", "bytes_moved"))
    return [
        at_least("Counted FLOPs order architectures as measured decode steps do", ORDER, flops, "1", method=method),
        stated("Counted bytes moved: the same rank correlation", moved, "1", method=method),
    ]


def _means(every: Sequence[Mapping[str, Any]], name: str, count: int) -> list[float]:
    return [fmean(one["shares"][name][str(count)]) for one in every]
