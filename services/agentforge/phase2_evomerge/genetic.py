"""The seeds' evolution: elites are mutated, losers merged in threes by random combinations.

A population of P has P/4 elites with three mutants each; the other 3P/4 models are merged in threes. With the
seeds' 8 that is 2 elites, 6 mutants and 2 merges.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agentforge.kit.rng import Rng
from agentforge.phase2_evomerge.child import Child, Scored, best_first
from agentforge.phase2_evomerge.config import EvoMergeConfig
from agentforge.phase2_evomerge.operators.combination import COMBINATIONS, Combination
from agentforge.phase2_evomerge.operators.crossover import crossover
from agentforge.phase2_evomerge.operators.mutation import adaptive_sigma, mutate
from agentforge.phase2_evomerge.operators.selection import tournament
from agentforge.phase2_evomerge.operators.tensors import Tensors
from agentforge.phase2_evomerge.parents import loaded
from agentforge.phase2_evomerge.workshop import Group, Workshop
from agentforge.train.state import load_json, save_json, save_tensors

_MUTANTS = 3  # of each elite, and models in each merge


class Genetic:
    """Models in `held` are whole; mutants are made from them when they are asked for."""

    def __init__(self, workshop: Workshop, config: EvoMergeConfig) -> None:
        self.workshop, self.config, self.settings = workshop, config, config.genetic
        self.held: dict[str, Tensors] = {}
        self.sigma = config.genetic.mutation.sigma
        self.origins: dict[str, dict[str, Any]] = {}

    def first(self) -> list[Child]:
        """All eight combinations of the parents; beyond eight once more, with other random numbers."""
        group = Group(self.workshop.parents.tensors)
        names = self.workshop.parents.names
        children = []
        for number in range(self.config.population):
            combination = COMBINATIONS[number % len(COMBINATIONS)]
            children.append(self._merge(f"g0.{number}", combination, group, list(names)))
        return children

    def next(
        self, generation: int, population: Sequence[Scored], champion: Scored, diversity: float
    ) -> list[Child]:
        order = best_first(population)
        if self.settings.mutation.adaptive:
            self._adapt(population)
        count = len(order) // (_MUTANTS + 1)
        best = order if champion.name in {each.name for each in order} else [champion, *order]
        rng = Rng(self.config.seed, "evomerge/losers", generation).python()
        merges, held = self._merges(generation, order[count:], rng, anew=diversity < self.settings.diversity)
        mutants = [self._mutant(generation, number, best, count) for number in range(_MUTANTS * count)]
        for origin in mutants:
            held |= {name: self._tensors(best, name) for name in origin["parents"] if name not in held}
        self.held = held
        self.origins = {f"g{generation}.{number}": origin for number, origin in enumerate([*mutants, *merges])}
        return [self._child(name) for name in self.origins]

    def _merges(
        self, generation: int, losers: Sequence[Scored], rng: random.Random, *, anew: bool
    ) -> tuple[list[dict[str, Any]], dict[str, Tensors]]:
        """What is left of the population, in threes. Where all have become alike, the last two begin from the
        parents again."""
        groups = [losers[start : start + _MUTANTS] for start in range(0, len(losers), _MUTANTS)]
        first = _MUTANTS * len(groups)
        origins, held = [], {}
        for number, group in enumerate(groups):
            combination = COMBINATIONS[rng.randrange(len(COMBINATIONS))]
            name = f"g{generation}.{first + number}"
            if anew and number >= len(groups) - 2:
                order = rng.sample(range(len(self.workshop.parents.names)), len(self.workshop.parents.names))
                members = [self.workshop.parents.tensors[place] for place in order]
                names = [self.workshop.parents.names[place] for place in order]
            else:
                members, names = [each.child.make() for each in group], [each.name for each in group]
            child = self._merge(name, combination, Group(members), names)
            origins.append(child.origin)
            held[name] = child.make()
        return origins, held

    def _merge(self, name: str, combination: Combination, group: Group, parents: list[str]) -> Child:
        made = self.workshop.combined(combination, group, Rng(self.config.seed, "evomerge/merge", name).seed)
        origin = {"kind": "merge", "combination": combination.name, "parents": parents}
        if made.fallback:
            origin |= {"kind": "linear", "fallback": made.fallback}
        self.held[name], self.origins[name] = made.tensors, origin
        return Child(name, origin, lambda: made.tensors)

    def _mutant(self, generation: int, number: int, best: Sequence[Scored], count: int) -> dict[str, Any]:
        rng = Rng(self.config.seed, "evomerge/choice", generation, number)
        places = [number // _MUTANTS, (number // _MUTANTS + 1) % max(2, count)]
        if self.settings.selection == "tournament":
            size = min(self.settings.tournament, len(best))
            fitness = [each.fitness for each in best]
            places = [
                tournament(fitness, size, Rng(self.config.seed, "evomerge/tournament", generation, number, turn))
                for turn in range(2)
            ]
        crosses = self.settings.crossover > 0 and rng.python().random() < self.settings.crossover
        chosen = [best[place] for place in (places if crosses else places[:1])]
        parents = list(dict.fromkeys(each.name for each in chosen))
        before = chosen[0].fitness if math.isfinite(chosen[0].fitness) else None  # JSON has no infinity
        return {"kind": "mutant", "parents": parents, "sigma": self.sigma, "parent_fitness": before}

    def _tensors(self, known: Sequence[Scored], name: str) -> Tensors:
        return next(each for each in known if each.name == name).child.make()

    def _child(self, name: str) -> Child:
        origin = self.origins[name]
        if origin["kind"] != "mutant":
            return Child(name, origin, partial(self.held.__getitem__, name))
        sources = [self.held[parent] for parent in origin["parents"]]
        return Child(name, origin, partial(self._mutated, name, sources, origin["sigma"]))

    def _mutated(self, name: str, sources: Sequence[Tensors], sigma: float) -> Tensors:
        start = sources[0]
        if len(sources) > 1:
            start = crossover(sources[0], sources[1], Rng(self.config.seed, "evomerge/crossover", name), rate=1.0)
        rng = Rng(self.config.seed, "evomerge/mutate", name)
        return mutate(start, rng, sigma=sigma, rate=self.settings.mutation.rate)

    def _adapt(self, population: Sequence[Scored]) -> None:
        mutants = [each for each in population if each.child.origin["kind"] == "mutant"]
        if mutants:
            better = sum(_is_better(each) for each in mutants)
            self.sigma = adaptive_sigma(self.sigma, better / len(mutants))

    def save(self, directory: Path) -> None:
        # Pairs, for their order: of equals the first one ranks first.
        state = {"sigma": self.sigma, "origins": list(self.origins.items()), "held": sorted(self.held)}
        save_json(directory / "genetic.json", state)
        for name, tensors in self.held.items():
            save_tensors(directory / f"held-{name}.safetensors", tensors)

    def load(self, directory: Path) -> list[Child]:
        """The population as it was."""
        saved = load_json(directory / "genetic.json")
        self.sigma, self.origins = saved["sigma"], dict(saved["origins"])
        self.held = {name: loaded(directory / f"held-{name}.safetensors") for name in saved["held"]}
        return [self._child(name) for name in self.origins]


def _is_better(mutant: Scored) -> bool:
    before = mutant.child.origin["parent_fitness"]
    return mutant.fitness > (-math.inf if before is None else before)
