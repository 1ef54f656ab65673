"""Styles that a prefix names, baked into a small Titan: what is removed of the KL, what else moves, way by way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, at_most, exactly, stated

SEEDS = (42, 1337, 2023)
KINDS = ("plain", "ternary")
LEARNING = 400  # steps of the learner
STEPS = 60  # of each baking
HELD = "200 held-out questions"
OFF = "400 held-out off-task answers"
BAR, OFF_BAR = 0.9, 0.01  # NOTES-SCIENCE, phase 6
FOLLOWED = 0.9
STRENGTHS = ("0.25", "0.5", "0.75", "1")
COMPARED = (
    "reverse", "monte carlo", "on the student's answers", "on the student's answers, twice", "strength rising",
    "baked again", "prefixes not anchored", "no anchors",
)  # fmt: skip


def trials() -> list[Trial]:
    return [Trial(f"{kind}/{seed}", {"kind": kind, "seed": seed}) for kind in KINDS for seed in SEEDS]


def measure(kind: str, seed: int) -> dict[str, Any]:
    from agentforge.phase6_baking.experiments.baked import measured

    return measured(kind, seed, LEARNING, STEPS)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    found = []
    for kind in KINDS:
        every = [one for key, one in results.items() if key.startswith(f"{kind}/")]
        if every:
            found += [*_baked(kind, every), *_half_baked(kind, every), *_compared(kind, every)]
            found += [*_sequence(kind, every), *_pursued(kind, every)]
    return found


def _baked(kind: str, every: Sequence[dict[str, Any]]) -> list[Row]:
    """One prompt, forward KL, in full."""
    start, whole = [one["start"] for one in every], _way(every, "strength 1")
    method = f"1 - after / before of KL(prompted || unprompted) in a token, {HELD}, {STEPS} steps"
    return [
        at_least(f"{kind}: prefixes are followed before", FOLLOWED, _of(start, "prompted"), "1", method=HELD),
        at_least(f"{kind}: share of the KL to the prompted teacher removed", BAR, _of(whole, "kl_removed"), "1",
                 method=method),
        stated(f"{kind}: KL before", _of(start, "kl_after"), "nat"),
        stated(f"{kind}: KL after", _of(whole, "kl_after"), "nat"),
        stated(f"{kind}: answers in the style before, unprompted", _of(start, "in_style"), "1", method=HELD),
        stated(f"{kind}: answers in the style after, unprompted", _of(whole, "in_style"), "1", method=HELD),
        at_most(f"{kind}: rise of the off-task cross-entropy", OFF_BAR, _of(whole, "off_task_ce"), "1", method=OFF),
        *(stated(f"{kind}: {name}, {when}", _of(which, f"ce/{name}"), "nat")
          for name in ("copy", "recall") for when, which in (("before", start), ("after", whole))),
        stated(f"{kind}: drift off-task", _of(whole, "drift_kl"), "nat", method="KL(start || baked) in a token"),
        stated(f"{kind}: another prefix is followed after", _of(whole, "other_prefix"), "1", method=HELD),
    ]  # fmt: skip


def _half_baked(kind: str, every: Sequence[dict[str, Any]]) -> list[Row]:
    removed = [[one["ways"][f"strength {each}"]["kl_removed"] for each in STRENGTHS] for one in every]
    rising = [float(all(a < b for a, b in pairwise((0.0, *one)))) for one in removed]
    method = f"removed shares rise over the strengths 0 (the start), {', '.join(STRENGTHS)}"
    found = [exactly(f"{kind}: half-baking is monotone", 1, rising, "1", method=method)]
    for place, each in enumerate(STRENGTHS):
        found.append(stated(f"{kind}: removed at strength {each}", [one[place] for one in removed], "1"))
        half = _way(every, f"strength {each}")
        found.append(stated(f"{kind}: answers in the style at strength {each}", _of(half, "in_style"), "1"))
    return found


def _compared(kind: str, every: Sequence[dict[str, Any]]) -> list[Row]:
    found = []
    for way in COMPARED:
        numbers = _way(every, way)
        found += [
            stated(f"{kind}, {way}: removed", _of(numbers, "kl_removed"), "1"),
            stated(f"{kind}, {way}: rise of the off-task cross-entropy", _of(numbers, "off_task_ce"), "1"),
            stated(f"{kind}, {way}: another prefix is followed", _of(numbers, "other_prefix"), "1"),
        ]
    return found


def _sequence(kind: str, every: Sequence[dict[str, Any]]) -> list[Row]:
    """Held to a bar where both prompts can be kept: they are for other questions, and the first is anchored."""
    found = []
    for way in reversed(every[0]["sequence"]):
        numbers = [one["sequence"][way] for one in every]
        of = f"{kind}, a second style for {way}"
        first, second = _of(numbers, "first"), _of(numbers, "second")
        if "anchored" in way:
            found += [
                at_least(f"{of}: removed of the first", BAR, first, "1", method=f"{HELD}, after both"),
                at_least(f"{of}: removed of the second", BAR, second, "1", method=f"{HELD}, after both"),
            ]
        else:
            found += [
                stated(f"{of}: removed of the first", first, "1"),
                stated(f"{of}: removed of the second", second, "1"),
            ]
    return found


def _pursued(kind: str, every: Sequence[dict[str, Any]]) -> list[Row]:
    """Of a learner that follows its prefix now and then."""
    green = [one["pursuit"] for one in every if one["pursuit"] is not None]
    names = {"start": "re-baking", "baked": "prompt pursuit"}
    found = []
    for teacher, name in names.items():
        for asked in ("prompted", "bare") if green else ():
            for number in range(len(green[0][teacher])):
                values = [one[teacher][number][asked] for one in green]
                claim = f"{kind}, half-taught, {name}, round {number}: drawn answers in the style, {asked}"
                found.append(stated(claim, values, "1"))
    return found


def _way(every: Sequence[dict[str, Any]], way: str) -> list[dict[str, float]]:
    return [one["ways"][way] for one in every]


def _of(numbers: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [one[name] for one in numbers]
