"""Who is tried next: NSGA-II or TPE of Optuna, asked and told in batches that every rank derives alike.

The samplers' own generators are made anew for every batch from counted randomness, and all else that they know is
what they were told: so a resumed search, which is told the same, asks the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agentforge.kit.errors import MissingTool
from agentforge.kit.rng import Rng
from agentforge.phase7_adas.configs.search import SearchConfig
from agentforge.phase7_adas.search.evaluate import Trial
from agentforge.phase7_adas.search.space import Genes, Space

_SEEDS = 2**32
_DIRECTIONS = ("maximize", "minimize", "minimize")  # as Trial.objectives
_PATIENCE = 16  # asks for each candidate of a batch: beyond, what is left is hardly ever asked for


def key(genes: Genes) -> str:
    return repr(sorted(genes.items()))


class Asker:
    def __init__(self, space: Space, config: SearchConfig, seed: int) -> None:
        self.space, self.config, self.seed = space, config, seed
        self._optuna = _optuna()
        self._study = self._optuna.create_study(directions=list(_DIRECTIONS), sampler=self._sampler(0))
        self._study.enqueue_trial(dict.fromkeys(space.choices, 0))
        self._asked: list[tuple[Any, Genes]] = []

    def ask(self, batch: int, count: int, known: Mapping[str, Trial]) -> list[Genes]:
        """Up to `count` candidates that are not known; none where nothing new is asked for."""
        self._study.sampler = self._sampler(batch)
        self._asked, fresh = [], dict[str, Genes]()
        for _ in range(_PATIENCE * count):
            trial = self._study.ask()
            genes = self._genes(trial)
            self._asked.append((trial, genes))
            if key(genes) not in known:
                fresh[key(genes)] = genes
            if len(fresh) == count:
                break
        return list(fresh.values())

    def tell(self, known: Mapping[str, Trial]) -> None:
        """Of all that were asked for; who was asked for twice was evaluated once."""
        for trial, genes in self._asked:
            self._study.tell(trial, known[key(genes)].objectives)

    def _genes(self, trial: Any) -> Genes:
        """Choices are in order, from the most to the least: a number says which."""
        choices = self.space.choices.items()
        return {gene: values[trial.suggest_int(gene, 0, len(values) - 1)] for gene, values in choices}

    def _sampler(self, batch: int) -> Any:
        samplers, population = self._optuna.samplers, self.config.population
        seed = Rng(self.seed, "adas/search/ask", self.config.algorithm, batch).seed % _SEEDS
        made: dict[str, Callable[[], Any]] = {
            "nsga2": lambda: samplers.NSGAIISampler(population_size=population, seed=seed),
            "tpe": lambda: samplers.TPESampler(n_startup_trials=population, seed=seed, constant_liar=True),
            "random": lambda: samplers.RandomSampler(seed=seed),
        }
        return made[self.config.algorithm]()


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        step = "Install agentforge[adas]."
        raise MissingTool(
            "the search is Optuna's, which is not installed", field="optuna", next_step=step
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
