"""The loop over generations: score, keep the champion, say what happened, save, and know when to stop."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from agentforge.kit.context import PhaseContext
from agentforge.kit.measure import Measurement
from agentforge.phase2_evomerge.child import Child, Scored, best_first, combinations_of, standing
from agentforge.phase2_evomerge.config import EvoMergeConfig
from agentforge.phase2_evomerge.judge import Judge
from agentforge.phase2_evomerge.log import EvolutionLog
from agentforge.phase2_evomerge.operators.diversity import recipe_distance
from agentforge.phase2_evomerge.parents import loaded
from agentforge.phase2_evomerge.sketch import sketch_distance
from agentforge.train.state import load_json, save_json, save_tensors


class Algorithm(Protocol):
    """Who is next. What it needs of one generation it has from the scores, so that a resumed run asks the same."""

    def first(self) -> list[Child]: ...

    def next(
        self, generation: int, population: Sequence[Scored], champion: Scored, diversity: float
    ) -> list[Child]: ...

    def save(self, directory: Path) -> None: ...

    def load(self, directory: Path) -> list[Child]:
        """The generation that was saved."""
        ...


class Evolution:
    """`champion` is the best of all generations: no later one can lose it."""

    def __init__(self, context: PhaseContext, config: EvoMergeConfig, judge: Judge, algorithm: Algorithm) -> None:
        self.context, self.config, self.judge, self.algorithm = context, config, judge, algorithm
        self.generation = 0
        self.population: list[Scored] = []
        self.champion: Scored | None = None
        self.tensors: dict[str, Tensor] = {}  # the champion's
        self.log = EvolutionLog()
        self._patience_used = 0

    @property
    def finished(self) -> bool:
        """Early, where nothing has come of several generations."""
        impatient = bool(self.config.patience) and self._patience_used >= self.config.patience
        return self.generation >= self.config.generations or impatient

    def run(self) -> Scored:
        checkpoint = self.context.checkpoints.latest()
        if checkpoint is None:
            self._scored(self.algorithm.first())
        else:
            self._load(checkpoint.path)
            self.context.log(f"goes on from generation {self.generation} of {self.config.generations}")
        while not self.finished:
            self.context.check_stop()
            assert self.champion is not None
            children = self.algorithm.next(self.generation + 1, self.population, self.champion, self._diversity())
            self.generation += 1
            self._scored(children)
        assert self.champion is not None
        return self.champion

    def _scored(self, children: Sequence[Child]) -> None:
        scores = self.judge.scores([child.make for child in children])
        self.population = [Scored(child, score) for child, score in zip(children, scores, strict=True)]
        improved = self._crown()
        self._patience_used = 0 if improved or not self.generation else self._patience_used + 1
        self.log.add(self.generation, self.population, self._best, self._diversity())
        self._report()
        # The end has one as well: a run that is killed while it publishes evolves nothing again.
        self.context.checkpoints.save(self.generation, self._save)

    def _crown(self) -> bool:
        """Whether the best is better by more than nothing worth waiting for."""
        best = best_first(self.population)[0]
        before = self.champion
        if before is None or best.fitness > before.fitness:
            tensors = {name: tensor.clone() for name, tensor in best.child.make().items()}
            # With its own weights: those it was made from need not be kept for as long as it reigns.
            self.champion = Scored(replace(best.child, make=lambda: tensors), best.score)
            self.tensors = tensors
        if before is None:
            return True
        if not math.isfinite(before.fitness):
            return math.isfinite(best.fitness)
        return best.fitness - before.fitness > self.config.improvement * abs(before.fitness)

    @property
    def _best(self) -> Scored:
        assert self.champion is not None
        return self.champion

    def _diversity(self) -> float:
        """Mean share of answer tokens at which two of the population differ."""
        pairs = itertools.combinations([each.score.outcome for each in self.population], 2)
        return statistics.fmean([one.disagreement(other) for one, other in pairs])

    def _report(self) -> None:
        order = best_first(self.population)
        finite = [each.fitness for each in order if math.isfinite(each.fitness)]
        items = sum(self.judge.questions.count(name) for name in self.judge.questions.scored)
        fitness = "weighted sum of perplexity, accuracy, FLOPs and bytes against the parents' mean, selection split"
        say: Callable[..., None] = self._measure
        say("generation", self.generation, "generations so far", 1)
        if math.isfinite(self._best.fitness):
            say("best_fitness", self._best.fitness, fitness, items)
            say("perplexity", self._best.score.terms.perplexity, "the best model's, selection split", items)
        say(
            "accuracy",
            self._best.score.terms.accuracy,
            "the best model's, mean over families, selection split",
            items,
        )
        if finite:
            spread = statistics.stdev(finite) if len(finite) > 1 else None
            say(
                "avg_fitness",
                statistics.fmean(finite),
                f"mean over the population; each: {fitness}",
                len(finite),
                spread,
            )
        for place, one in enumerate(order[:2], start=1):
            if math.isfinite(one.fitness):
                say(f"elite{place}_fitness", one.fitness, fitness, items)
        pairs = len(order) * (len(order) - 1) // 2
        say("diversity", self._diversity(), "answer tokens at which two models differ, mean over pairs", pairs)
        how = "distance of two models over their norm, mean over pairs; on a fixed few thousand weights"
        say("weight_distance", sketch_distance([each.score.sketch for each in order]), how, pairs)
        recipes = [each.child.vector for each in order if each.child.vector is not None]
        if len(recipes) > 1:
            how = "difference of two recipes as a share of what a weight may be, mean over pairs"
            say("recipe_distance", self._recipe_distance(recipes), how, len(recipes) * (len(recipes) - 1) // 2)
        if self.config.patience:
            left = max(0, self.config.patience - self._patience_used)
            say("convergence_patience", left, "generations without improvement until the end", 1)
        used = combinations_of(each.child for each in self.population)
        fit = round(self._best.fitness, 6) if math.isfinite(self._best.fitness) else None
        best = {"name": self._best.name, "fitness": fit}
        models = [standing(each) for each in self.population]
        told = {"generation": self.generation, "best": best, "combinations": used, "models": models}
        self.context.sample("evomerge/generation", told)
        self.context.progress(self.generation, self.config.generations, "generations", f"best {self._best.name}")

    def _recipe_distance(self, recipes: Sequence[Sequence[float]]) -> float:
        bounds = [(self.config.recipe.lowest, self.config.recipe.highest)] * len(recipes[0])
        return statistics.fmean(recipe_distance(a, b, bounds) for a, b in itertools.combinations(recipes, 2))

    def _measure(self, name: str, value: float, method: str, n: int, spread: float | None = None) -> None:
        self.context.measure(Measurement(f"evomerge/{name}", value, "1", method, n, spread, self.generation))

    def _save(self, directory: Path) -> None:
        self.algorithm.save(directory)
        save_tensors(directory / "champion.safetensors", self.tensors)
        state = {
            "generation": self.generation,
            "patience_used": self._patience_used,
            "champion": {"name": self._best.name, "origin": self._best.child.origin},
            "log": self.log.record(),
        }
        save_json(directory / "evolution.json", state)

    def _load(self, directory: Path) -> None:
        """Scores are measured again, not stored: the same weights have the same ones."""
        state: dict[str, Any] = load_json(directory / "evolution.json")
        self.generation, self._patience_used = state["generation"], state["patience_used"]
        self.log = EvolutionLog.of_record(state["log"])
        self.tensors = tensors = loaded(directory / "champion.safetensors")
        children = self.algorithm.load(directory)
        champion = Child(state["champion"]["name"], state["champion"]["origin"], lambda: tensors)
        *scores, best = self.judge.scores([*(child.make for child in children), champion.make])
        self.population = [Scored(child, score) for child, score in zip(children, scores, strict=True)]
        self.champion = Scored(champion, best)
