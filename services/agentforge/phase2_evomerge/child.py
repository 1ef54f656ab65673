"""A candidate: how it was made, the way to its weights, and what it scored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from agentforge.phase2_evomerge.judge import Score
from agentforge.phase2_evomerge.operators.selection import ranked
from agentforge.phase2_evomerge.operators.tensors import Tensors


@dataclass(frozen=True)
class Child:
    name: str  # g3.5: the fifth of generation 3, counted from 0
    origin: dict[str, Any]  # plain JSON; "parents" names whom it comes from
    make: Callable[[], Tensors]  # weights are made when asked for, so that few are held at a time
    vector: tuple[float, ...] | None = None  # of a recipe: its numbers


@dataclass(frozen=True)
class Scored:
    child: Child
    score: Score

    @property
    def name(self) -> str:
        return self.child.name

    @property
    def fitness(self) -> float:
        return self.score.fitness


def best_first(scored: Sequence[Scored]) -> list[Scored]:
    return [scored[place] for place in ranked([each.fitness for each in scored])]


def combinations_of(children: Iterable[Child]) -> list[str]:
    """Those that were made; what gave way to the plain mean is none."""
    origins = [each.origin for each in children]
    return [each["combination"] for each in origins if "combination" in each and "fallback" not in each]


def standing(one: Scored) -> dict[str, Any]:
    """Its objectives as plain JSON, to be told; one with a flaw has none."""
    terms = one.score.terms
    if terms.flaw:
        return {"name": one.name, "flaw": terms.flaw}
    return {
        "name": one.name, "fitness": one.fitness, "perplexity": terms.perplexity, "accuracy": terms.accuracy,
        "flops_per_token": terms.flops_per_token, "bytes": terms.bytes,
    }  # fmt: skip
