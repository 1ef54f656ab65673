"""How fast Titan trains: beside a plain GPT (nanochat's) of the same size, and with each mechanism on alone.

All models of a size stand in one process, on one thread, warm, and take a step each in turns; a ratio is the median
over the turns. Time is CPU time of the process; FLOPs are counted from the operators that were called.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, not_testable, stated

SIZES = {"tiny": (64, 48), "small": (8, 128)}  # preset: rows and tokens of a batch
TURNS = 7

OFF: dict[str, Any] = {
    "memory": False, "act": False, "recursion": False, "persistent_tokens": 0, "sliding_window": None,
}  # fmt: skip
# What is left out of OFF, so that the preset's own setting stands, and what is set besides.
CASES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "off": ((), {}),
    "sliding window": (("sliding_window",), {}),
    "persistent tokens": (("persistent_tokens",), {}),
    "memory": (("memory",), {}),
    "recursion": (("recursion",), {}),
    "halting, 2 steps": (("act",), {"act_steps_train": 2}),
    "halting, 8 steps": (("act",), {"act_steps_train": 8}),
    "all, 2 steps": (tuple(OFF), {"act_steps_train": 2}),
    "all, 8 steps": (tuple(OFF), {"act_steps_train": 8}),
}


def trials() -> list[Trial]:
    timed = [Trial(f"{size}/time", {"what": "time", "size": size, "case": None}) for size in SIZES]
    memory = [
        Trial(f"{size}/memory/{case}", {"what": "memory", "size": size, "case": case})
        for size in SIZES
        for case in CASES
    ]
    return timed + memory


def measure(what: str, size: str, case: str | None) -> dict[str, Any]:
    from agentforge.phase1_cognate.experiments import speedometer

    return speedometer.memory(size, case) if case is not None else speedometer.speeds(size)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    found = []
    for size in SIZES:
        timed = results[f"{size}/time"]
        found += _beside_nanochat(size, timed)
        peak = {case: results[f"{size}/memory/{case}"]["peak_bytes"] for case in CASES}
        for case in list(CASES)[1:]:
            found += _mechanism(size, case, timed, peak)
    claim = "FLOP/s of training `full` on a GPU, share of the GPU's peak (MFU), beside nanochat"
    return [*found, not_testable(claim, "≥ 1", "no GPU was lent")]


def _beside_nanochat(size: str, timed: Mapping[str, Any]) -> list[Row]:
    seconds, equal = timed["seconds"], timed["parameters"]["nanochat, equal"]
    off = timed["parameters"]["off"]
    method = (
        f"{off:,} parameters beside {equal:,}: nanochat's head tied, no value embeddings, MLP widened or narrowed; "
        f"float32, one thread, AdamW, loss at every position; median of {TURNS} turns"
    )
    claim = f"{size}: training tokens/s with all mechanisms off, beside nanochat of the same size"
    whole = timed["parameters"]["nanochat, as it is"]
    return [
        _median(claim, 1.0, _ratios(seconds["nanochat, equal"], seconds["off"]), method),
        stated(
            f"{size}: tokens/s, beside nanochat as it is", [_middle(seconds["nanochat, as it is"], seconds["off"])],
            "1", method=f"same width, layers and vocabulary; {whole:,} parameters",
        ),
        stated(f"{size}: tokens/s, all off", [timed["tokens"] / statistics.median(seconds["off"])], "1/s"),
    ]  # fmt: skip


def _mechanism(size: str, case: str, timed: Mapping[str, Any], peak: Mapping[str, int]) -> list[Row]:
    """Its FLOP/s against all off; what it costs in FLOPs, time and memory."""
    seconds, flops = timed["seconds"], timed["flops"]
    more = flops[case] / flops["off"]
    slower = _ratios(seconds["off"], seconds[case])
    method = "FLOPs counted by operator / CPU time, relative to all off; median of turns"
    return [
        _median(f"{size}: FLOP/s while training with {case}, of all off", 0.7, [more * s for s in slower], method),
        stated(f"{size}, {case}: FLOPs per token, times all off", [more], "1"),
        stated(f"{size}, {case}: tokens/s, of all off", [statistics.median(slower)], "1"),
        stated(
            f"{size}, {case}: peak memory, times all off", [peak[case] / peak["off"]], "1",
            method="highest resident memory of a fresh process less that before the model was made; 3 steps",
        ),
    ]  # fmt: skip


def _ratios(first: list[float], second: list[float]) -> list[float]:
    """Turn by turn: how many times longer the first took."""
    return [a / b for a, b in zip(first, second, strict=True)]


def _middle(first: list[float], second: list[float]) -> float:
    return statistics.median(_ratios(first, second))


def _median(claim: str, bar: float, samples: list[float], method: str) -> Row:
    """As at_least, by the median: a turn that was interrupted does not decide."""
    row = at_least(claim, bar, samples, "1", method=method)
    value = statistics.median(samples)
    return replace(row, value=value, verdict="reached" if value >= bar else "not reached")
