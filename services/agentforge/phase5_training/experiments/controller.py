"""Difficulty steered by measured success, beside an even mix and easy to hard: real training, at equal steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, clearly_above, stated
from agentforge.phase5_training.configs.edge import EdgeConfig

SEEDS = (42, 1337, 2023)
EASY = {"copy": [2, 3, 4], "reverse": [2, 3, 4], "sort": [2, 3, 4]}  # letters, that the start was taught
WIDE = {"copy": list(range(2, 17)), "reverse": list(range(2, 13)), "sort": list(range(2, 13))}
BEGUN = 300  # steps of the start
STEPS = 500
MUON_LR = 0.01  # at 0.02 success itself goes up and down by more than the band allows
HELD_OUT = 12  # items of each difficulty
WAYS = ("edge", "uniform", "easy_to_hard")
BAR = 0.8


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    from agentforge.phase5_training.experiments.steered import begun, steered

    with TemporaryDirectory(prefix="af-edge-") as scratch:
        place = Path(scratch)
        begun(place, EASY, seed=seed, steps=BEGUN)
        return {
            way: steered(place, WIDE, {"kind": way}, seed=seed, steps=STEPS, items=HELD_OUT, muon_lr=MUON_LR)
            for way in WAYS
        }


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = list(results.values())
    config, items = EdgeConfig(), every[0]["edge"]["curve"][0]["items"]
    found = []
    for way in WAYS:
        curves = [one[way]["curve"] for one in every]
        named: list[tuple[str | None, str]] = [(None, ""), *((name, f", {name}") for name in WIDE)]
        for name, of in named:
            shares = [in_band(curve, config, name) for curve in curves]
            claim = f"{way}: share of measurements in {config.low:.0%} to {config.high:.0%}{of}"
            method = f"from step {config.every} on, {items} items each"
            found.append(
                at_least(claim, BAR, shares, "1", method=method) if way == "edge" and name is None
                else stated(claim, shares, "1", method=method)
            )  # fmt: skip
    method = f"of {items} items of which each is right with {config.target:.0%}: their noise alone"
    found.append(stated("a perfect controller: the same share", [perfect(config, items)], "1", method=method))
    return [*found, *_learned(every)]


def _learned(every: Sequence[dict[str, Any]]) -> list[Row]:
    """Held-out items of all difficulties, as many of each."""
    found = []
    for other in WAYS[1:]:
        gained = [_accuracy(one["edge"]) - _accuracy(one[other]) for one in every]
        method = f"mean over families, {HELD_OUT} held-out items of each difficulty, {STEPS} steps"
        found.append(clearly_above(f"edge: more is learned than by {other}", 0, gained, "1", method=method))
        shown = ("edge", other) if other == WAYS[1] else (other,)
        for way in shown:
            found.append(stated(f"{way}: accuracy", [_accuracy(one[way]) for one in every], "1"))
            for name in WIDE:
                values = [one[way]["accuracy"][name] for one in every]
                found.append(stated(f"{way}: accuracy, {name}", values, "1"))
            found.append(stated(f"{way}: selection loss", [one[way]["loss"] for one in every], "nat"))
    return found


def in_band(curve: Sequence[Mapping[str, Any]], config: EdgeConfig, family: str | None) -> float:
    """After the settling, which is before the first step."""
    points = [each for each in curve if each["step"] > 0 and family in (None, each["family"])]
    return fmean(config.low <= each["success"] <= config.high for each in points)


def perfect(config: EdgeConfig, n: int) -> float:
    """Share of measurements in the band where success is the target each time."""
    p = config.target
    inside = [right for right in range(n + 1) if config.low <= right / n <= config.high]
    return math.fsum(math.comb(n, right) * p**right * (1 - p) ** (n - right) for right in inside)


def _accuracy(measured: Mapping[str, Any]) -> float:
    return fmean(measured["accuracy"].values())
