"""Recipes by CMA-ES (Hansen 2016), as mergekit-evolve and Sakana do it: few numbers, and no gradient."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cmaes
import numpy as np

from agentforge.kit.errors import DataLoss
from agentforge.kit.rng import Rng
from agentforge.phase2_evomerge.child import Child, Scored
from agentforge.phase2_evomerge.config import EvoMergeConfig
from agentforge.phase2_evomerge.genetic import Genetic
from agentforge.phase2_evomerge.recipes import Kitchen
from agentforge.phase2_evomerge.workshop import Workshop
from agentforge.train.state import load_json, save_json

_WORST = 1e9  # minus the fitness of a child that has none: CMA-ES ranks, so any large number does
_SEEDS = 2**32  # of NumPy's old generator, which the library uses


class RecipeEvolution:
    """Generation 0 is that of the combinations; CMA-ES then starts from the best of the parents and their mean.

    Its state is what it was told: a resumed run tells it again, which costs milliseconds.
    """

    def __init__(
        self, workshop: Workshop, config: EvoMergeConfig, kitchen: Kitchen, start: Sequence[float]
    ) -> None:
        self.config, self.kitchen, self.start = config, kitchen, list(start)
        self._combinations = Genetic(workshop, config)
        self._told: list[list[tuple[list[float], float]]] = []
        self._asked: list[list[float]] = []
        self._search = self._new()

    def first(self) -> list[Child]:
        children = self._combinations.first()
        return [*children, *self._starts()]

    def next(
        self, generation: int, population: Sequence[Scored], champion: Scored, diversity: float
    ) -> list[Child]:
        if self._asked:
            values = [min(_WORST, -each.fitness) for each in population]
            self._tell(list(zip(self._asked, values, strict=True)))
        self._combinations.held = {}  # they were looked at; only the champion's weights stay
        self._asked = self._ask()
        return [self._child(f"g{generation}.{number}", vector) for number, vector in enumerate(self._asked)]

    def _new(self) -> cmaes.CMA:
        settings, size = self.config.recipe, self.kitchen.size
        return cmaes.CMA(
            mean=np.array(self.start),
            sigma=settings.sigma,
            bounds=np.array([[settings.lowest, settings.highest]] * size),
            seed=Rng(self.config.seed, "evomerge/cma").seed % _SEEDS,
            population_size=self.config.population,
        )

    def _ask(self) -> list[list[float]]:
        return [self._search.ask().tolist() for _ in range(self.config.population)]

    def _tell(self, solutions: list[tuple[list[float], float]]) -> None:
        self._told.append(solutions)
        self._search.tell([(np.array(vector), value) for vector, value in solutions])

    def _starts(self) -> list[Child]:
        """The parents' mean; and where the search begins, so that its champion is never worse."""
        starts = [self._child("g0.mean", self.kitchen.even())]
        return starts if self.start == self.kitchen.even() else [*starts, self._child("g0.start", self.start)]

    def _child(self, name: str, vector: Sequence[float]) -> Child:
        recipe = self.kitchen.recipe(vector)
        origin = {"kind": "recipe", "recipe": recipe, "parents": list(self.kitchen.parents.names)}
        return Child(name, origin, partial(self.kitchen.cooked, recipe), tuple(vector))

    def save(self, directory: Path) -> None:
        save_json(directory / "cma.json", {"told": self._told, "asked": self._asked})
        if not self._asked:
            self._combinations.save(directory)

    def load(self, directory: Path) -> list[Child]:
        saved = load_json(directory / "cma.json")
        for solutions in saved["told"]:
            if self._ask() != [vector for vector, _ in solutions]:
                raise DataLoss(
                    f"{directory} was made by another search than this installation's: it asks for other recipes",
                    reason="CHECKPOINT_MISMATCH",
                    field=str(directory),
                    next_step="Resume with the versions of cmaes and NumPy that began the run, or start a new run.",
                )
            self._tell([(vector, value) for vector, value in solutions])
        self._asked = self._ask() if saved["asked"] else []
        if not self._asked:
            return [*self._combinations.load(directory), *self._starts()]
        generation = len(self._told) + 1
        return [self._child(f"g{generation}.{number}", vector) for number, vector in enumerate(self._asked)]
