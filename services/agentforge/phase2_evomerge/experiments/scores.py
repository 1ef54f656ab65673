"""What a finished run of EvoMerge said on the test split, and rows about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from agentforge.kit.evidence import Row, at_least, clearly_above, stated
from agentforge.kit.whole_run import accuracies, outputs, value
from agentforge.train.directory import read_json

SEEDS = (42, 1337, 2023)
PARENTS = ("reasoning", "memory_integration", "adaptive_computation")
LINEAR = "linear"
AIM = 0.235  # the seeds' improvement of composite fitness over the parents' mean


def summary(line: dict[str, Any]) -> dict[str, Any]:
    record = read_json(outputs(line)["champion"] / "evomerge.json")
    who = ("champion", LINEAR, *PARENTS)
    return {
        "seconds": line["seconds"],
        "fitness": {each: value(line, f"evomerge/{each}/fitness") for each in who},
        "perplexity": {each: value(line, f"evomerge/{each}/perplexity") for each in who},
        "accuracy": {each: accuracies(line)[each] for each in who},
        "usage": record["merge_combo_usage"],
        "best_fitness_per_gen": record["evolution_log"]["best_fitness_per_gen"],
        "diversity_per_gen": record["evolution_log"]["diversity_per_gen"],
    }


def ahead(results: Sequence[Mapping[str, Any]], other: str) -> list[float]:
    """Champion's fitness on the test split less another's, or less the best parent's."""
    found = []
    for result in results:
        fitness = result["fitness"]
        against = max(fitness[name] for name in PARENTS) if other == "best parent" else fitness[other]
        found.append(fitness["champion"] - against)
    return found


def quality(results: Sequence[Mapping[str, Any]], what: str) -> list[Row]:
    """Is it better than what it was made from?"""
    improvement = [result["fitness"]["champion"] - 1 for result in results]
    method = f"composite fitness on the test split, 1 is the parents' mean; {what}"
    found = [
        at_least(
            "The champion's fitness is above the parents' mean", AIM, improvement, "1", theirs=True, method=method
        ),
        clearly_above("The champion beats the best parent", 0, ahead(results, "best parent"), "1", method=method),
        clearly_above(
            "The champion beats the parents' plain mean (linear)", 0, ahead(results, "linear"), "1", method=method
        ),
    ]
    mean = {name: [fmean(result["accuracy"][name].values()) for result in results] for name in ("champion", LINEAR)}
    best = [max(fmean(result["accuracy"][name].values()) for name in PARENTS) for result in results]
    more = [one - other for one, other in zip(mean["champion"], best, strict=True)]
    method = "accuracy on the test split, mean over families, less the best parent's"
    found.append(clearly_above("The champion answers more than the best parent", 0, more, "1", method=method))
    found += [stated(f"{name}: accuracy, mean over families", each, "1") for name, each in mean.items()]
    parents = [fmean(fmean(result["accuracy"][name].values()) for name in PARENTS) for result in results]
    found += [stated("best parent: accuracy", best, "1"), stated("parents: accuracy, mean", parents, "1")]
    for name in ("champion", LINEAR, *PARENTS):
        found.append(stated(f"{name}: perplexity", [result["perplexity"][name] for result in results], "1"))
    return found
