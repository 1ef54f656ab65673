"""Thoughts at all positions of a batch, with the model of 25 M: time, memory, and the naive way beside it.

The naive way takes one position after the other: the plain model reads the text up to there, its cache is copied
for each thought, and the thoughts go on from it token by token, all rows' thoughts of the position as one batch.
The slowest way does that for each row by itself, too.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, at_most, exactly, stated

BATCH = (4, 20)  # rows and tokens; a thought after every token
THOUGHTS, LENGTH = 4, 12
TURNS, NAIVE_TURNS = 5, 2
PRECISIONS = ("float32", "bfloat16")  # of weights and states
SMALLER = (2, 6)  # the batch in float64


def trials() -> list[Trial]:
    return [
        *(Trial(f"time/{precision}", {"what": "time", "precision": precision}) for precision in PRECISIONS),
        *(Trial(f"memory/{precision}", {"what": "memory", "precision": precision}) for precision in PRECISIONS),
        Trial("same/float64", {"what": "same", "precision": "float64"}),
    ]


def measure(what: str, precision: str) -> dict[str, Any]:
    from agentforge.phase3_quietstar.experiments import stopwatch

    return {"time": stopwatch.times, "memory": stopwatch.memory, "same": stopwatch.same}[what](precision)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    found = []
    for precision in PRECISIONS:
        timed, memory = results[f"time/{precision}"], results[f"memory/{precision}"]
        found += [*_seconds(precision, timed), *_memory(memory), *_ratio(precision, timed)]
    same = results["same/float64"]
    method = f"{same['thoughts']} thoughts of {LENGTH} tokens, rows of {SMALLER[0]} x {SMALLER[1]}, float64"
    claim = "Thoughts that are the same one position at a time under the same randomness, share"
    found.append(exactly(claim, 1, [same["same"] / same["thoughts"]], "1", method=method))
    return found


def _seconds(precision: str, timed: Mapping[str, Any]) -> list[Row]:
    batch = f"batch {BATCH[0]} x {BATCH[1]}"
    claim = f"{THOUGHTS} thoughts x {LENGTH} tokens at all positions of {batch}, 25 M, {precision}"
    method = (
        f"{timed['parameters']:,} parameters, random weights, {timed['threads']} threads; "
        f"reading the text included; median of {TURNS}"
    )
    seconds = timed["seconds"]["parallel"]
    floor = timed["matrix_flop"] / timed["flop_per_second"]
    how = "operators' matrix products at the speed of one product of 320 rows with an MLP's matrix"
    return [
        at_most(claim, 2.0, [statistics.median(seconds)], "s", method=method),
        stated(f"{precision}: the fastest turn", [min(seconds)], "s"),
        stated(f"{precision}: the slowest turn", [max(seconds)], "s"),
        stated(f"{precision}: matrix products alone", [floor], "s", method=how),
    ]


def _memory(memory: Mapping[str, Any]) -> list[Row]:
    method = "highest resident memory of a fresh process while thinking, less that before"
    return [stated(f"{memory['precision']}: memory", [float(memory["peak_bytes"])], "By", method=method)]


def _ratio(precision: str, timed: Mapping[str, Any]) -> list[Row]:
    seconds = {name: statistics.median(each) for name, each in timed["seconds"].items()}
    method = (
        "all rows' thoughts of a position as one batch, by the cached plain model; "
        f"medians of {NAIVE_TURNS} and {TURNS}"
    )
    return [
        at_least(
            f"{precision}: time of thoughts one position at a time, of that in parallel", 5.0,
            [seconds["positions"] / seconds["parallel"]], "1", method=method,
        ),
        stated(f"{precision}: the same, each row by itself", [seconds["places"] / seconds["parallel"]], "1"),
        stated(f"{precision}: one position at a time", [seconds["positions"]], "s"),
        stated(
            f"{precision}: share of thoughts that are the same", [timed["same"] / timed["thoughts"]], "1",
            method="random weights leave all tokens about equally likely, so rounding decides between neighbours",
        ),
    ]  # fmt: skip
