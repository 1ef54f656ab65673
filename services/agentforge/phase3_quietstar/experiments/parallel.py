"""Whether thoughts in parallel are those of a naive loop, off thoughts change nothing, and gradients are right.

Models are of a few thousand parameters, with random weights, one for each seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_most, exactly, stated

SEEDS = (42, 43, 44)
MODELS = {"titan": "Titan with memory, halting and recursion", "llama": "Llama"}
PARTS = ("loop", "off", "straight")  # what is measured of each model


def trials() -> list[Trial]:
    found = [
        Trial(f"{part}/{model}/{seed}", {"part": part, "model": model, "seed": seed})
        for part in PARTS
        for model in MODELS
        for seed in SEEDS
    ]
    return [*found, Trial("rewards", {"part": "rewards", "model": "", "seed": 0})]


def measure(part: str, model: str, seed: int) -> dict[str, Any]:
    from agentforge.phase3_quietstar.experiments import checks

    if part == "rewards":
        return checks.reward_gradient()
    return {"loop": checks.loop, "off": checks.off, "straight": checks.straight_through}[part](model, seed)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    found = []
    for model, named in MODELS.items():
        loop, off, straight = ([results[f"{part}/{model}/{seed}"] for seed in SEEDS] for part in PARTS)
        found += _loop(named, loop)
        method = "all logits of texts, before marks and mixing head came and after; the marks' own columns apart"
        same = [each["equal"] / each["logits"] for each in off]
        found.append(exactly(f"{named}: logits that are the same bits, thoughts off", 1, same, "1", method=method))
        places = [float(each["places"]) for each in off]
        found.append(exactly(f"{named}: places where it thinks, thoughts off", 0, places, "1"))
        method = "float64; central differences along a random direction of the loss with mean embeddings"
        error = [each["relative_error"] for each in straight]
        found.append(at_most(f"{named}: error of the straight-through gradient", 1e-5, error, "1", method=method))
        without = [each["without"] for each in straight]
        found.append(stated(f"{named}: the same without the straight-through path", without, "1"))
    method = "one token of three, all outcomes of 2 to 4 thoughts enumerated; relative, float64"
    claim = "Expected REINFORCE gradient against (N - 1)/N of the exact one"
    return [*found, at_most(claim, 1e-12, results["rewards"]["relative_errors"], "1", method=method)]


def _loop(named: str, loop: list[dict[str, Any]]) -> list[Row]:
    logits = loop[0]["logits"]
    method = (
        f"float32, one thought and token at a time through the plain model; the largest of {logits:,} differences "
        "for each seed"
    )
    largest = [each["difference"] for each in loop]
    same = [each["same"] / each["tokens"] for each in loop]
    return [
        at_most(f"{named}: logits in parallel against a naive loop", 1e-5, largest, "1", method=method),
        stated(f"{named}: deviation of these logits from their mean", [each["size"] for each in loop], "1"),
        exactly(f"{named}: tokens that the loop draws, too", 1, same, "1", method="the same uniform numbers"),
    ]
