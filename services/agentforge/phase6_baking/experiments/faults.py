"""Faults of every kind at every agent of the phase's graph: what is saved, by what, and how the rest ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, exactly, stated

SEEDS = (42, 1337, 2023)
REPEATS = 3  # of each kind at each agent, for each seed
STRATEGIES = ("retry", "restart", "fallback", "rollback", "isolate", "messages")
PARTS = ("one", "lasting", "two")
BAR = 0.985
RELIABILITY = 0.999  # as the seed document has it

Runs = list[dict[str, Any]]


def trials() -> list[Trial]:
    return [Trial(f"{part}/{seed}", {"part": part, "seed": seed}) for part in PARTS for seed in SEEDS]


def measure(part: str, seed: int) -> dict[str, Any]:
    from agentforge.phase6_baking.experiments import faulty

    return {"runs": faulty.measure(part, seed, REPEATS)}


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    one, lasting, two = ([results[f"{part}/{seed}"]["runs"] for seed in SEEDS] for part in PARTS)
    count, kinds = sum(map(len, one)), {run["faults"][0][0] for run in one[0]}
    method = (
        f"{count:,} runs, one fault each: {len(kinds)} kinds at each of 9 agents, {REPEATS} times for each seed"
    )
    without = sum(not run["remedy"] for runs in one for run in runs)
    found = [
        at_least("faults recovered", BAR, _recovered(one), "1", theirs=True, method=method),
        stated("of them without a remedy in the agent's policy", [without / count], "1"),
        exactly(
            "recovered where the agent's policy has a remedy", 1, _recovered(_with_remedy(one)), "1", method=method
        ),
        at_least(
            "reliability: runs that end right, where each meets a fault", RELIABILITY, _recovered(one), "1",
            theirs=True, method=method,
        ),
    ]  # fmt: skip
    found += [stated(f"recovered: {text}", shares, "1") for text, shares in _by_kind(one).items()]
    return [*found, *_saved(one), *_ends([*one, *lasting, *two]), *_beside(one, lasting, two)]


def _ends(every: Sequence[Runs]) -> list[Row]:
    method = f"{sum(map(len, every)):,} runs, also with lasting faults and with two at once"
    clear = [float(run["clear"]) for runs in every for run in runs if run["end"] == "failed"]
    return [
        exactly("wrong final outputs", 0, [_count(every, "wrong")], "1", method=f"{method}; each to the bit"),
        exactly(
            "the rest end FAILED, name agent, tries and next step, and keep all work", 1, clear, "1",
            method="a resume without the fault takes what was finished, and ends right",
        ),
    ]  # fmt: skip


def _beside(one: Sequence[Runs], lasting: Sequence[Runs], two: Sequence[Runs]) -> list[Row]:
    strikes = "in each attempt of the first work; disk and memory of any"
    return [
        stated("recovered of lasting faults", _recovered(lasting), "1", method=f"{_runs(lasting)} runs; {strikes}"),
        stated("recovered of two faults in one run", _recovered(two), "1", method=f"{_runs(two)} runs"),
        stated("a run", [run["seconds"] for runs in one for run in runs], "s", method="with hangs up to deadlines"),
    ]


def _runs(of_seeds: Sequence[Runs]) -> int:
    return sum(map(len, of_seeds))


def _recovered(of_seeds: Sequence[Runs]) -> list[float]:
    return [sum(run["end"] == "right" for run in runs) / len(runs) for runs in of_seeds]


def _with_remedy(of_seeds: Sequence[Runs]) -> list[Runs]:
    return [[run for run in runs if run["remedy"]] for runs in of_seeds]


def _count(of_seeds: Sequence[Runs], end: str) -> int:
    return sum(run["end"] == end for runs in of_seeds for run in runs)


def _by_kind(of_seeds: Sequence[Runs]) -> dict[str, list[float]]:
    kinds = dict.fromkeys(run["faults"][0][0] for run in of_seeds[0])
    chosen = {kind: [[run for run in runs if run["faults"][0][0] == kind] for runs in of_seeds] for kind in kinds}
    return {kind.replace("_", " "): _recovered(runs) for kind, runs in chosen.items()}


def _saved(of_seeds: Sequence[Runs]) -> list[Row]:
    """What came last before the end; a run that needed no strategy was saved by the delivery of messages."""
    saved = [Counter(run["by"] for run in runs if run["end"] == "right") for runs in of_seeds]
    found = []
    for strategy in STRATEGIES:
        what = "redelivery and de-duplication of messages" if strategy == "messages" else strategy
        shares = [each[strategy] / each.total() for each in saved]
        found.append(stated(f"of the recovered: saved by {what}", shares, "1"))
    return found
