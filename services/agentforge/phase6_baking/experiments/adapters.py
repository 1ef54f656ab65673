"""Whether a merge is PEFT's own, to the bit, and the unmerged model's in its logits; and stands alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_most, exactly, stated

SEEDS = (42, 1337, 2023)
ONE = "one adapter"
METHODS = ("cat", "linear", "ties", "dare_linear", "dare_ties")
WAYS = (ONE, *METHODS)
BAR = 1e-5
_MODEL = "a Llama of 1.1 M parameters, float32, made on the spot; adapters of rank 8 on all its matrices"


def trials() -> list[Trial]:
    return [Trial(f"{way}/{seed}", {"way": way, "seed": seed}) for way in WAYS for seed in SEEDS]


def measure(way: str, seed: int) -> dict[str, Any]:
    from agentforge.phase6_baking.experiments.standing import measured

    return measured(None if way == ONE else way, seed)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    return [row for way in WAYS for row in _of_way(way, [results[f"{way}/{seed}"] for seed in SEEDS])]


def _of_way(way: str, of: Sequence[Mapping[str, Any]]) -> list[Row]:
    name = way if way == ONE else f"two adapters by {way}"
    method = f"largest difference of a logit, {of[0]['logits']:,} logits; {_MODEL}"
    found = [
        at_most(f"{name}: merged against unmerged", BAR, [one["difference"] for one in of], "1", method=method),
        stated(f"{name}: what they change", [one["changed"] for one in of], "1", method="most, of a logit"),
    ]
    if way != ONE:
        apart = [one["from_sum"] for one in of]
        of_sum = "norm of the difference, over that of the sum"
        found.append(stated(f"{name}: from the sum of the adapters' changes", apart, "1", method=of_sum))
    equal, tensors = [one["equal"] for one in of], f"share of {of[0]['tensors']} tensors"
    alone, process = [one["alone"] for one in of], "another process; tokens as the merged model's own"
    return [
        *found,
        exactly(f"{name}: tensors as PEFT's own merge has them, to the bit", 1, equal, "1", method=tensors),
        exactly(f"{name}: loads and generates where PEFT cannot be imported", 1, alone, "1", method=process),
    ]
