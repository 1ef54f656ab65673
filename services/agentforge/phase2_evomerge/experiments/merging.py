"""`agentforge merge` beside mergekit: time from start to finished directory, warm calls, and memory.

mergekit has an environment of its own; AGENTFORGE_MERGEKIT names its Python. Both run in turns, on the same files.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, at_most, stated

METHODS = {"linear": 2.5, "slerp": 2.5, "dare": 2.5, "ties": 5.0}  # how many times faster we aim to be
LARGE = ("linear", "slerp")
TURNS = 3


def trials() -> list[Trial]:
    beside = [
        Trial(f"{what}/{method}", {"what": what, "method": method})
        for what in ("program", "warm")
        for method in METHODS
    ]
    return [*beside, *(Trial(f"large/{method}", {"what": "large", "method": method}) for method in LARGE)]


def measure(what: str, method: str) -> dict[str, Any]:
    from agentforge.phase2_evomerge.experiments import stopwatch

    return {"program": stopwatch.programs, "warm": stopwatch.warm, "large": stopwatch.large}[what](method, TURNS)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    found = []
    for method, bar in METHODS.items():
        found += _program(method, bar, results[f"program/{method}"])
    for method in METHODS:
        warm = results[f"warm/{method}"]
        claim = f"{method}: warm call in Python, mergekit's time over ours"
        found.append(at_least(claim, 3.0, [_ratio(warm)], "1", method=f"{_of(warm)}; median of {TURNS}"))
    for method in LARGE:
        large = results[f"large/{method}"]
        described = (
            f"{large['parameters']:,} parameters, bf16, {large['shards']} shards each, {large['models']} models"
        )
        claim = f"{method}: resident memory while models of 1.5 B are merged"
        found.append(at_most(claim, 2e9, [float(large["peak"])], "By", method=described))
        found.append(stated(f"{method}: time of it", [large["seconds"]], "s"))
    return found


def _program(method: str, bar: float, timed: Mapping[str, Any]) -> list[Row]:
    described = f"{_of(timed)}; median of {TURNS} turns, each from start to finished directory"
    peaks = timed["peak"]
    memory = statistics.median(peaks["ours"]) / statistics.median(peaks["theirs"])
    return [
        at_least(
            f"{method}: mergekit's time over `agentforge merge`'s", bar, [_ratio(timed)], "1", method=described
        ),
        *(stated(f"{method}: seconds, {who}", timed["seconds"][who], "s") for who in ("ours", "theirs")),
        at_most(
            f"{method}: peak memory of `agentforge merge`, of mergekit's", 0.5, [memory], "1", method=described
        ),
        *(stated(f"{method}: peak memory, {who}", peaks[who], "By") for who in ("ours", "theirs")),
    ]


def _ratio(timed: Mapping[str, Any]) -> float:
    seconds: Mapping[str, list[float]] = timed["seconds"]
    return statistics.median(seconds["theirs"]) / statistics.median(seconds["ours"])


def _of(timed: Mapping[str, Any]) -> str:
    return f"{timed['models']} Titans of {timed['parameters']:,} parameters, float32"
