"""Tokens a second at batch 1 and of a prompt, all ways in turns: the race of the evidence, at 25 M."""

from __future__ import annotations

from statistics import median
from typing import Any

from agentforge.phase4_bitnet.experiments.decode import THREADS, measure
from agentforge.phase4_bitnet.experiments.shapes import PROMPT
from tests.bench.record import distribution, record

SHAPE = "25m"


def main() -> None:
    figures = {f"{threads}_threads": figures_of(measure(SHAPE, threads)["ways"]) for threads in THREADS}
    record("decode", ">= 10x PyTorch eager, >= 1x llama.cpp TQ2_0", figures)


def figures_of(ways: dict[str, Any]) -> dict[str, Any]:
    return {way: one(told) for way, told in ways.items()}


def one(told: dict[str, Any]) -> dict[str, Any]:
    if "missing" in told:
        return {"missing": told["missing"]}
    tokens = [nanoseconds / 1e9 for turn in told["turns"] for nanoseconds in turn["token_ns"]]
    return {
        "runs": told["version"],
        "tokens_per_second": len(tokens) / sum(tokens),
        "seconds_per_token": distribution(tokens),
        "prompt_tokens_per_second": PROMPT * 1e9 / median(turn["prompt_ns"] for turn in told["turns"]),
    }
