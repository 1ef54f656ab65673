"""Reading a prompt and decoding at batch 1, beside PyTorch, llama.cpp and onnxruntime with the same weights.

All ways take turns on one machine in one state, so that ratios of a turn are fair even where times are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, not_testable, stated
from agentforge.phase4_bitnet.experiments.shapes import CONTEXT, EAGER, OURS, PROMPT, SHAPES, TOKENS

THREADS = (1, 2)
TQ2_0 = "llama.cpp TQ2_0"
BARS = {EAGER: 10.0, TQ2_0: 1.0}  # tokens a second of ours, of theirs
PROMPT_BARS = {EAGER: 1.0, TQ2_0: 1.0}


def trials() -> list[Trial]:
    return [
        Trial(f"{shape}/{threads}", {"shape": shape, "threads": threads}) for shape in SHAPES for threads in THREADS
    ]


def measure(shape: str, threads: int) -> dict[str, Any]:
    from agentforge.phase4_bitnet.experiments import entrant, files
    from agentforge.phase4_bitnet.experiments.race import race

    return race(shape, threads, files.__name__, entrant.__name__)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    found = []
    for shape, each in SHAPES.items():
        for threads in THREADS:
            name = f"{each.text}, {threads} thread{'s' * (threads > 1)}"
            found += _of_one(name, results[f"{shape}/{threads}"]["ways"])
    return found


def _of_one(name: str, ways: Mapping[str, Any]) -> list[Row]:
    found = []
    for part, bars, verb in (("decode", BARS, "decoding"), ("prompt", PROMPT_BARS, f"reading {PROMPT} tokens")):
        for other in (way for way in bars if way in ways):
            found.append(_ratio(f"{name}, {verb}: tokens/s, ours over {other}", bars[other], ways, other, part))
        for way, told in ways.items():
            if "missing" not in told:
                found += _stated(f"{name}, {verb}, {way}", told, part)
            elif part == "decode" and way not in (OURS, *bars):
                found.append(not_testable(f"{name}: {way}", "tokens/s", told["missing"]))
    return found


def _ratio(claim: str, bar: float, ways: Mapping[str, Any], other: str, part: str) -> Row:
    """Each turn's own: what slows the machine for a while slows both."""
    for way in (OURS, other):
        if "missing" in ways[way]:
            return not_testable(claim, f"≥ {bar:g}", f"{way}: {ways[way]['missing']}")
    ours, theirs = (_speeds(ways[way]["turns"], part) for way in (OURS, other))
    method = f"turns, room for {CONTEXT} tokens; {ways[OURS]['version']}; {ways[other]['version']}"
    return at_least(claim, bar, [a / b for a, b in zip(ours, theirs, strict=True)], "1", method=method)


def _stated(name: str, told: Mapping[str, Any], part: str) -> list[Row]:
    speeds = _speeds(told["turns"], part)
    if part == "prompt":
        return [stated(f"{name}: tokens/s", speeds, "1/s")]
    method = f"turns of {TOKENS} tokens; logits correlate by {told['correlation']:.4f} with eager's"
    times = sorted(each for turn in told["turns"] for each in turn["token_ns"])
    late = times[min(len(times) - 1, int(0.95 * len(times)))]
    return [
        stated(f"{name}: tokens/s", speeds, "1/s", method=method),
        stated(f"{name}: p50 of a token", [median(times) / 1e9], "s"),
        stated(f"{name}: p95 of a token", [late / 1e9], "s"),
    ]


def _speeds(turns: Sequence[Mapping[str, Any]], part: str) -> list[float]:
    """Tokens a second of each turn."""
    if part == "prompt":
        return [PROMPT * 1e9 / turn["prompt_ns"] for turn in turns]
    return [TOKENS * 1e9 / sum(turn["token_ns"]) for turn in turns]
