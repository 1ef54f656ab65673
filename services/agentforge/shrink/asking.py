"""Who is tried next: NSGA-II or TPE of Optuna, asked and told in batches that every rank derives alike.

The samplers' own generators are made anew for every batch from counted randomness, and all else that they know is
what they were told: so a resumed search, which is told the same, asks the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from agentforge.kit.errors import MissingTool
from agentforge.kit.rng import Rng

Algorithm = Literal["nsga2", "tpe", "random"]
Direction = Literal["maximize", "minimize"]
Genes = dict[str, int | str]
Choices = Mapping[str, tuple[int | str, ...]]
"""Of each gene, in order, from the most to the least. The first of all together are tried first."""

_SEEDS = 2**32
_PATIENCE = 16  # asks for each candidate of a batch: beyond, what is left is hardly ever asked for


def key(genes: Genes) -> str:
    return repr(sorted(genes.items()))


class Asker:
    """`name`: of its randomness. `population`: of a generation (nsga2), or of random ones at first (tpe).

    `first`: tried after the one of all first choices.
    """

    def __init__(
        self, choices: Choices, directions: Sequence[Direction], *,
        algorithm: Algorithm, population: int, seed: int, name: str, first: Sequence[Genes] = (),
    ) -> None:  # fmt: skip
        self.choices, self.algorithm, self.population = choices, algorithm, population
        self.seed, self.name = seed, name
        self._optuna = _optuna()
        self._study = self._optuna.create_study(directions=list(directions), sampler=self._sampler(0))
        for genes in ({gene: values[0] for gene, values in choices.items()}, *first):
            self._study.enqueue_trial({gene: choices[gene].index(value) for gene, value in genes.items()})
        self._asked: list[tuple[Any, Genes]] = []

    def ask(self, batch: int, count: int, known: Mapping[str, Any]) -> list[Genes]:
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

    def tell(self, objectives: Mapping[str, Sequence[float]]) -> None:
        """Of all that were asked for, by key; who was asked for twice was evaluated once."""
        for trial, genes in self._asked:
            self._study.tell(trial, list(objectives[key(genes)]))

    def _genes(self, trial: Any) -> Genes:
        """A number says which of the choices."""
        choices = self.choices.items()
        return {gene: values[trial.suggest_int(gene, 0, len(values) - 1)] for gene, values in choices}

    def _sampler(self, batch: int) -> Any:
        samplers, population = self._optuna.samplers, self.population
        seed = Rng(self.seed, f"{self.name}/ask", self.algorithm, batch).seed % _SEEDS
        made: dict[str, Callable[[], Any]] = {
            "nsga2": lambda: samplers.NSGAIISampler(population_size=population, seed=seed),
            "tpe": lambda: samplers.TPESampler(n_startup_trials=population, seed=seed, constant_liar=True),
            "random": lambda: samplers.RandomSampler(seed=seed),
        }
        return made[self.algorithm]()


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        message, step = (
            "the search is Optuna's, which is not installed",
            "Install it: pip install 'agentforge[search]'.",
        )
        raise MissingTool(message, field="optuna", next_step=step) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
