"""Does the halting head spend more steps on deeper problems, and what do few steps at inference cost?

Digits come one by one, and after each the sum of all so far modulo 10 is asked for: as deep as it has terms. One
layer, up to 8 steps. A step gets its price only once sums are being learned, lest it teach to stop early while none
can be solved (the setting `price at once` has it from the start).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, at_most, stated

SEEDS = (42, 1337, 2023)
STEPS = 8
FEW = 2
SETTINGS = {  # steps, and the share of training before a step costs anything
    "ramp": {"steps": STEPS, "free": 0.5},
    "price at once": {"steps": STEPS, "free": 0.0},
    "one step": {"steps": 1, "free": 0.5},
}


def trials() -> list[Trial]:
    return [
        Trial(f"{name}/{seed}", {**setting, "seed": seed}) for name, setting in SETTINGS.items() for seed in SEEDS
    ]


def measure(steps: int, free: float, seed: int) -> dict[str, Any]:
    from agentforge.phase1_cognate.experiments import running_sums

    return running_sums.learn(steps, free, seed)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    runs = {name: [results[f"{name}/{seed}"] for seed in SEEDS] for name in SETTINGS}
    return [*_depth(runs), _gradient(runs["ramp"]), *_few_steps(runs["ramp"])]


def _depth(runs: Mapping[str, list[dict[str, Any]]]) -> list[Row]:
    found = {name: [_unlimited(run) for run in each] for name, each in runs.items()}
    asked, depths = found["ramp"][0]["asked"], found["ramp"][0]["steps_by_terms"]
    return [
        at_least(
            "Rank correlation of a sum's terms and the steps before halting", 0.5,
            [each["correlation"] for each in found["ramp"]], "1", method=f"Spearman, over {asked:,} held-out sums",
        ),
        *(
            stated(f"steps before halting, {n} terms", [each["steps_by_terms"][n] for each in found["ramp"]], "1")
            for n in depths
        ),
        *(stated(f"sums right, {name}", [each["right"] for each in found[name]], "%") for name in SETTINGS),
        stated("rank correlation, price at once", [each["correlation"] for each in found["price at once"]], "1"),
    ]  # fmt: skip


def _gradient(runs: list[dict[str, Any]]) -> Row:
    smallest = [min(run["halting_gradient"].values()) for run in runs]
    looks = len(runs[0]["halting_gradient"])
    return at_least(
        "The answer's loss alone moves the halting head: smallest norm of its gradient", 1e-6, smallest, "1",
        method=f"smallest of {looks} looks in the course of training",
    )  # fmt: skip


def _few_steps(runs: list[dict[str, Any]]) -> list[Row]:
    lost = {limit: [_lost(run, limit) for run in runs] for limit in range(1, STEPS)}
    saved = {limit: [_saved(run, limit) for run in runs] for limit in lost}
    enough = [min(int(limit) for limit in run["by_limit"] if _lost(run, int(limit)) <= 0.01) for run in runs]
    return [
        at_most(
            f"{FEW} steps at inference instead of {STEPS} lose less than they save: share lost / share saved", 1.0,
            [a / b for a, b in zip(lost[FEW], saved[FEW], strict=True)], "1",
            method="lost: of the held-out sums that are right with all steps; saved: of a forward pass's FLOPs",
        ),
        *(
            stated(
                f"share of right sums lost, {limit} of {STEPS} steps", lost[limit], "1",
                method=f"saves {STEPS - limit} of {STEPS} passes, {saved[limit][0]:.1%} of the FLOPs",
            )
            for limit in lost
        ),
        stated("fewest steps that keep 99 % of the right sums", [float(limit) for limit in enough], "step"),
    ]  # fmt: skip


def _unlimited(run: Mapping[str, Any]) -> dict[str, Any]:
    """What was found with as many steps as in training."""
    found: dict[str, Any] = run["by_limit"][str(len(run["by_limit"]))]
    return found


def _lost(run: Mapping[str, Any], limit: int) -> float:
    return 1 - float(run["by_limit"][str(limit)]["right"]) / float(_unlimited(run)["right"])


def _saved(run: Mapping[str, Any], limit: int) -> float:
    return 1 - float(run["by_limit"][str(limit)]["flops"]) / float(_unlimited(run)["flops"])
