"""Does TRM's recursion help our model at 6x6 Sudoku, at equal parameters and equal examples?

Titan as it is, with T = 3 cycles of n = 6 passes, against one cycle, against the gradient of the last pass alone,
and against no recursion. The paper's figures are of Sudoku-Extreme. What else is other than there: forms of 1,000
easier puzzles; attention under a causal mask; one supervision step, no average of weights; y is moved by a linear
map of z and never normalised, where TRM runs its network; minutes of training, not days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, stated

SEEDS = (42, 1337, 2023)
STEPS = 400
_THREE = {"cycles": 3, "inner": 6, "learned": 6, "bounded": False, "steps": STEPS}
_NONE = _THREE | {"cycles": 0, "inner": 0}
SETTINGS = {  # T, n, how many of the last passes carry gradient, whether y is normalised, optimiser steps
    "T=3 n=6": _THREE,
    "T=1 n=6": _THREE | {"cycles": 1},
    "one-step gradient": _THREE | {"learned": 1},
    "T=3 n=6, y normalised": _THREE | {"bounded": True},
    "no recursion": _NONE,
}


def trials() -> list[Trial]:
    return [
        Trial(f"{name}/{seed}", {**setting, "seed": seed}) for name, setting in SETTINGS.items() for seed in SEEDS
    ]


def measure(cycles: int, inner: int, learned: int, bounded: bool, steps: int, seed: int) -> dict[str, Any]:
    from agentforge.phase1_cognate.experiments import grids

    return grids.learn(grids.Recursion(cycles, inner, learned, bounded), steps, seed)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    found = {name: [results[f"{name}/{seed}"] for seed in SEEDS] for name in SETTINGS}
    return [
        _gain("T = 3, n = 6 against T = 1, n = 6", found["T=3 n=6"], found["T=1 n=6"]),
        *(row for name in SETTINGS for row in _numbers(name, found[name])),
        _gain("T = 3, n = 6 against the gradient of its last pass", found["T=3 n=6"], found["one-step gradient"]),
        _gain(
            "T = 3, n = 6 with y normalised after each cycle against T = 1, n = 6",
            found["T=3 n=6, y normalised"], found["T=1 n=6"],
        ),
        _gain("T = 1, n = 6 against no recursion", found["T=1 n=6"], found["no recursion"]),
    ]  # fmt: skip


def _gain(which: str, ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> Row:
    gains = [_solved(one) - _solved(other) for one, other in zip(ours, theirs, strict=True)]
    puzzles = ours[0]["test"]["all"]["n"]
    method = f"whole puzzles, of {puzzles} held-out ones; {STEPS} steps of 32 examples"
    return at_least(f"Sudoku 6x6, points gained: {which}", 10, gains, "%", method=method)


def _numbers(name: str, runs: Sequence[Mapping[str, Any]]) -> list[Row]:
    work = f"{runs[0]['parameters']:,} parameters, {runs[0]['training_flops'] / 1e12:.1f} TFLOP of training"
    return [
        stated(f"puzzles solved, {name}", [_solved(run) for run in runs], "%", method=work),
        *(
            stated(f"puzzles solved, {name}, {blanks} blanks", [_solved(run, blanks) for run in runs], "%")
            for blanks in runs[0]["test"]
            if blanks != "all"
        ),
        stated(f"blanks filled rightly, {name}", [run["test"]["all"]["cells"] for run in runs], "%"),
    ]


def _solved(run: Mapping[str, Any], blanks: str = "all") -> float:
    return float(run["test"][blanks]["puzzles"])
