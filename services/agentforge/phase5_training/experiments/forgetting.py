"""What is lost of one family while another is learned, without dreams and with them, at equal steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, at_most, stated

SEEDS = (42, 1337, 2023)
KINDS = ("ternary", "plain")
OLD, NEW = "copy", "reverse"  # asked in the same words but one: what is learned of the new undoes the old
STEPS = 300  # of the new family, dreams among them
FAMILIES: dict[str, dict[str, Any]] = {
    OLD: {"levels": [2, 3, 4], "steps": 250},
    NEW: {"levels": [2, 3, 4], "steps": STEPS},
}
LONG = {"every": 60, "steps": 3, "replayed": 0.5}  # the seeds' 1,000 and 50 of 5,000 steps, for STEPS of them
NONE, SEEDED = "no dreams", "dreams as the seeds have them"
FIFTH = "a fifth of all steps, replayed one at a time"
WAYS: dict[str, dict[str, Any]] = {
    NONE: {"every": 0, "steps": 1},
    SEEDED: LONG,
    "the same, replay only": {**LONG, "replayed": 1.0},
    "the same, own answers only": {**LONG, "replayed": 0.0},
    "the same, anchored": {**LONG, "anchor": 1.0},
    "the same share of steps, one at a time": {"every": 20, "steps": 1, "replayed": 0.5},
    "a tenth, replayed one at a time": {"every": 9, "steps": 1, "replayed": 1.0},
    FIFTH: {"every": 4, "steps": 1, "replayed": 1.0},
    "a fifth, half of it own answers": {"every": 4, "steps": 1, "replayed": 0.5},
    "a fifth, replayed ten at a time": {"every": 40, "steps": 10, "replayed": 1.0},
}
FEW = (NONE, SEEDED, FIFTH)  # of the plain model
CLAIMED = (SEEDED, FIFTH)
CURVE = 60  # steps between measurements
KNOWN = 0.9
BAR = 0.5


def trials() -> list[Trial]:
    return [Trial(f"{kind}/{seed}", {"kind": kind, "seed": seed}) for kind in KINDS for seed in SEEDS]


def measure(kind: str, seed: int) -> dict[str, Any]:
    from agentforge.phase5_training.experiments.lost import sequence

    ways = WAYS if kind == "ternary" else {name: WAYS[name] for name in FEW}
    return sequence(kind, FAMILIES, ways, seed=seed, every=CURVE)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    found = []
    for kind in KINDS:
        every = [one for key, one in results.items() if key.startswith(f"{kind}/")]
        found += _of_kind(kind, every) if every else []
    return found


def _of_kind(kind: str, every: Sequence[dict[str, Any]]) -> list[Row]:
    before = [one["before"][OLD] for one in every]
    found = [at_least(f"{kind}: {OLD} is known before", KNOWN, before, "1", method="held-out items")]
    lost = [_lost(one, NONE) for one in every]
    found.append(stated(f"{kind}, {NONE}: of {OLD}, lost", lost, "1", method=f"after {STEPS} steps of {NEW}"))
    found += _learned(kind, NONE, every)
    for way in (each for each in every[0]["ways"] if each != NONE):
        of = f"{kind}, {way}"
        ratios = [_lost(one, way) / _lost(one, NONE) for one in every]
        method = f"{OLD} lost, over what is lost without dreams; equal steps, of which dreams {_share(way):.0%}"
        costs = [_last(one, NONE)[NEW] - _last(one, way)[NEW] for one in every]
        cost = stated(f"{of}: cost in {NEW}", costs, "1", method="accuracy less than without")
        if way in CLAIMED:
            claim = at_most(f"{of}: forgetting is at least halved", BAR, ratios, "1", method=method)
            found += [claim, cost, *_learned(kind, way, every)]
        else:
            found += [stated(f"{of}: share of the forgetting", ratios, "1", method=method), cost]
    return found


def _learned(kind: str, way: str, every: Sequence[dict[str, Any]]) -> list[Row]:
    of = f"{kind}, {way}"
    found = [
        stated(f"{of}: {OLD}", [_last(one, way)[OLD] for one in every], "1"),
        stated(f"{of}: {OLD}, mean on the way", [_mean(one, way) for one in every], "1"),
        stated(f"{of}: {NEW}", [_last(one, way)[NEW] for one in every], "1"),
    ]
    if every[0]["ways"][way]["kept"]:
        kept = [fmean(one["ways"][way]["kept"]) for one in every]
        found.append(stated(f"{of}: own answers that were right", kept, "1", method="mean over dreams"))
    return found


def _share(way: str) -> float:
    """Of the steps, that are dreams."""
    every, steps = WAYS[way]["every"], WAYS[way]["steps"]
    asleep = [step % (every + steps) >= every for step in range(STEPS)]
    return fmean(asleep)


def _last(one: Mapping[str, Any], way: str) -> dict[str, float]:
    last: dict[str, float] = one["ways"][way]["curve"][-1]
    return last


def _lost(one: Mapping[str, Any], way: str) -> float:
    before: float = one["before"][OLD]
    return before - _last(one, way)[OLD]


def _mean(one: Mapping[str, Any], way: str) -> float:
    return fmean(each[OLD] for each in one["ways"][way]["curve"])
