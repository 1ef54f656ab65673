"""Twelve models at once, each with a graph of agents of its own, under one limit of memory for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_most, exactly, stated

MODELS = 12
ASKED = 192 << 20  # bytes that an agent asks for, and gets no more
LIMIT = 2 * ASKED  # of all agents together, beside what their workers are
WAYS = ("within", "without")  # a limit
SEEDS = (42, 1337, 2023)


def trials() -> list[Trial]:
    return [Trial(f"{way}/{seed}", {"way": way, "seed": seed}) for way in WAYS for seed in SEEDS]


def measure(way: str, seed: int) -> dict[str, Any]:
    from agentforge.phase6_baking.experiments import twelve

    return twelve.measure(MODELS, ASKED, LIMIT if way == "within" else MODELS * ASKED, seed)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = {way: [results[f"{way}/{seed}"] for seed in SEEDS] for way in WAYS}
    within, one = every["within"], every["within"][0]
    shares = {way: [each["taken_bytes"] / LIMIT for each in every[way]] for way in WAYS}
    method = (
        f"{MODELS} workers, a model of {one['model_bytes'] / 1e6:.0f} MB each that is loaded, moved and saved; "
        f"limit {LIMIT >> 20} MiB, {ASKED >> 20} for an agent; what agents hold alone, {one['samples']} samples"
    )
    right = [float(each["right"]) for each in within]
    return [
        exactly("models at once whose every output is right", MODELS, right, "1", theirs=True, method=method),
        at_most("memory that their agents took, as a share of the limit", 1, shares["within"], "1", method=method),
        stated("the same without a limit", shares["without"], "1"),
        stated("agents at work at the same time, at most", [each["at_once"] for each in within], "1"),
        stated("the same without a limit", [each["at_once"] for each in every["without"]], "1"),
        stated("all twelve", [each["seconds"] for each in within], "s"),
        stated("all twelve without a limit", [each["seconds"] for each in every["without"]], "s"),
        stated("all processes before the first agent", [each["tree_before_bytes"] for each in within], "By"),
        stated("all processes at most", [each["tree_bytes"] for each in within], "By", method="shared pages once"),
    ]
