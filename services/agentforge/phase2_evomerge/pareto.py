"""Recipes by NSGA-II over the four objectives as they are: a front to pick from instead of one weighted sum."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agentforge.kit.errors import DataLoss
from agentforge.kit.rng import Rng
from agentforge.phase2_evomerge.child import Child, Scored
from agentforge.phase2_evomerge.config import EvoMergeConfig
from agentforge.phase2_evomerge.recipes import Kitchen
from agentforge.train.state import load_json, save_json

OBJECTIVES = ("perplexity", "accuracy", "flops_per_token", "bytes")
_DIRECTIONS = ("minimize", "maximize", "minimize", "minimize")
_WORST = {"minimize": 1e30, "maximize": -1e30}
_SEEDS = 2**32

Told = tuple[list[float], list[float]]  # a recipe's vector and its four objectives


class ParetoSearch:
    """Its state is what it was told, as that of CMA-ES."""

    def __init__(self, config: EvoMergeConfig, kitchen: Kitchen, known: Sequence[Sequence[float]]) -> None:
        """`known`: recipes that are asked for first; the parents and their mean."""
        self.config, self.kitchen, self.known = config, kitchen, [list(each) for each in known]
        self._told: list[list[Told]] = []
        self._trials: list[Any] = []
        self._study = self._new()

    def first(self) -> list[Child]:
        return self._generation(0)

    def next(
        self, generation: int, population: Sequence[Scored], champion: Scored, diversity: float
    ) -> list[Child]:
        vectors = [self._vector(trial) for trial in self._trials]
        self._tell([(v, _objectives(one)) for v, one in zip(vectors, population, strict=True)])
        return self._generation(generation)

    def front(self, last: Sequence[Scored]) -> list[dict[str, Any]]:
        """All that no other one beats in everything, by perplexity."""
        told = [one for generation in self._told for one in generation]
        told += [(self._vector(trial), _objectives(one)) for trial, one in zip(self._trials, last, strict=True)]
        kept = [one for one in told if not any(_dominates(other[1], one[1]) for other in told)]
        points = {tuple(vector): objectives for vector, objectives in kept}
        return [
            {"recipe": self.kitchen.recipe(vector), **dict(zip(OBJECTIVES, objectives, strict=True))}
            for vector, objectives in sorted(points.items(), key=lambda point: (point[1], point[0]))
        ]

    def _new(self) -> Any:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.NSGAIISampler(
            population_size=self.config.population, seed=Rng(self.config.seed, "evomerge/nsga2").seed % _SEEDS
        )
        study = optuna.create_study(directions=list[Any](_DIRECTIONS), sampler=sampler)
        for vector in self.known:
            study.enqueue_trial({self._key(place): value for place, value in enumerate(vector)})
        return study

    def _generation(self, generation: int) -> list[Child]:
        self._ask()
        children = []
        for number, trial in enumerate(self._trials):
            vector = self._vector(trial)
            recipe = self.kitchen.recipe(vector)
            origin = {"kind": "recipe", "recipe": recipe, "parents": list(self.kitchen.parents.names)}
            children.append(
                Child(f"g{generation}.{number}", origin, partial(self.kitchen.cooked, recipe), tuple(vector))
            )
        return children

    def _ask(self) -> None:
        settings = self.config.recipe
        self._trials = [self._study.ask() for _ in range(self.config.population)]
        for trial in self._trials:
            for place in range(self.kitchen.size):
                trial.suggest_float(self._key(place), settings.lowest, settings.highest)

    def _tell(self, solutions: list[Told]) -> None:
        self._told.append(solutions)
        for trial, (_, objectives) in zip(self._trials, solutions, strict=True):
            self._study.tell(trial, objectives)

    def _key(self, place: int) -> str:
        return f"w{place:04d}"

    def _vector(self, trial: Any) -> list[float]:
        return [trial.params[self._key(place)] for place in range(self.kitchen.size)]

    def save(self, directory: Path) -> None:
        save_json(directory / "nsga2.json", self._told)

    def load(self, directory: Path) -> list[Child]:
        for solutions in load_json(directory / "nsga2.json"):
            self._ask()
            told = [(list(vector), list(objectives)) for vector, objectives in solutions]
            if [self._vector(trial) for trial in self._trials] != [vector for vector, _ in told]:
                raise DataLoss(
                    f"{directory} was made by another search than this installation's: it asks for other recipes",
                    reason="CHECKPOINT_MISMATCH",
                    field=str(directory),
                    next_step="Resume with the version of Optuna that began the run, or start a new run.",
                )
            self._tell(told)
        return self._generation(len(self._told))


def _objectives(one: Scored) -> list[float]:
    terms = one.score.terms
    if terms.flaw:
        return [_WORST[direction] for direction in _DIRECTIONS]
    return [terms.perplexity, terms.accuracy, terms.flops_per_token, float(terms.bytes)]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    signs = [1 if direction == "minimize" else -1 for direction in _DIRECTIONS]
    pairs = [(sign * a, sign * b) for sign, a, b in zip(signs, one, other, strict=True)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
