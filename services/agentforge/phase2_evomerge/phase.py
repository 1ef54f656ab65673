"""The story of phase 2: parents, their scores, an evolution over merges, the champion on new questions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from agentforge.data.splits import Split
from agentforge.kit.context import PhaseContext
from agentforge.kit.errors import InvalidInput, RunFailed
from agentforge.kit.measure import Measurement
from agentforge.kit.rng import Rng
from agentforge.phase2_evomerge.cma import RecipeEvolution
from agentforge.phase2_evomerge.config import EvoMergeConfig
from agentforge.phase2_evomerge.evaluation.batches import Encoded
from agentforge.phase2_evomerge.evaluation.questions import Questions
from agentforge.phase2_evomerge.evolution import Algorithm, Evolution
from agentforge.phase2_evomerge.genetic import Genetic
from agentforge.phase2_evomerge.judge import Judge
from agentforge.phase2_evomerge.methods import method
from agentforge.phase2_evomerge.parents import Parents, load_parents
from agentforge.phase2_evomerge.pareto import ParetoSearch
from agentforge.phase2_evomerge.publish import publish
from agentforge.phase2_evomerge.recipes import Kitchen
from agentforge.phase2_evomerge.streaming.merge import MergeRequest, merge_models
from agentforge.phase2_evomerge.workshop import Workshop
from agentforge.train.config import TrainConfig
from agentforge.train.machine import settled


@dataclass
class Found:
    """What the phase gives on: weights, how they were made, and what else belongs into the record."""

    tensors: dict[str, Tensor]
    origin: dict[str, Any]
    record: dict[str, Any] = field(default_factory=dict)


def run(context: PhaseContext, config: EvoMergeConfig) -> None:
    if config.algorithm == "merge":
        one_merge(context, config)
        return
    with settled(TrainConfig(threads=config.threads, deterministic=config.deterministic)):
        parents = load_parents(context, config)
        # Before the evolution: an item that no parent can read is found now.
        sheet = questions(parents, config, Split.TEST, config.evaluation.test_items)
        found = evolved(context, config, parents)
        test = Judge(parents, sheet, config.weights)
        publish(context, config, parents, test, found.tensors, found.origin, found.record)


def one_merge(context: PhaseContext, config: EvoMergeConfig) -> None:
    """Straight from file to file, so that models may be larger than the memory; nothing is measured of it."""
    chosen, trunk = config.merge, context.inputs.maybe("trunk")
    base = trunk.path if trunk is not None and method(chosen.method).needs_base else None
    models = tuple(each.path for each in context.inputs.many("models"))
    with context.output("champion") as directory:
        request = MergeRequest(chosen.method, models, directory, base, chosen.options, config.seed)
        merge_models(request, lambda done, total: context.progress(done, total, "bytes", "merging"))


def evolved(context: PhaseContext, config: EvoMergeConfig, parents: Parents) -> Found:
    kitchen = Kitchen(parents)
    if config.recipe.given is not None:
        recipe = kitchen.checked(config.recipe.given)
        return Found(kitchen.cooked(recipe), {"kind": "recipe", "recipe": recipe, "parents": list(parents.names)})
    judge = Judge(parents, questions(parents, config, Split.SELECTION, config.evaluation.items), config.weights)
    say_parents(context, parents, judge)
    algorithm = chosen_algorithm(context, config, parents, judge, kitchen)
    evolution = Evolution(context, config, judge, algorithm)
    champion = evolution.run()
    if champion.score.terms.flaw:
        message = f"no child has a fitness; of the best, {champion.name}, {champion.score.terms.flaw}"
        raise RunFailed(message, reason="NO_FIT_CHILD", next_step="Merge models from one trunk.")
    record = {"champion": champion.name, **evolution.log.summary(champion.name)}
    if isinstance(algorithm, ParetoSearch):
        record["pareto_front"] = algorithm.front(evolution.population)
    return Found(evolution.tensors, champion.child.origin, record)


def chosen_algorithm(
    context: PhaseContext, config: EvoMergeConfig, parents: Parents, judge: Judge, kitchen: Kitchen
) -> Algorithm:
    if config.algorithm == "nsga2":
        return ParetoSearch(
            config, kitchen, [kitchen.even(), *(kitchen.only(p) for p in range(len(parents.names)))]
        )
    few = questions(parents, config, Split.SELECTION, config.evaluation.layer_items)
    workshop = Workshop(parents, Judge(parents, few, config.weights), config.combination, config.seed)
    if config.algorithm == "genetic":
        return Genetic(workshop, config)
    return RecipeEvolution(workshop, config, kitchen, best_start(parents, judge, kitchen))


def best_start(parents: Parents, judge: Judge, kitchen: Kitchen) -> list[float]:
    """The mean of the parents, or one of them where it scores higher."""
    best = max(range(len(parents.names)), key=lambda place: judge.parents[place].fitness)
    even = kitchen.even()
    mean = judge.score(kitchen.cooked(kitchen.recipe(even)))
    return even if mean.fitness >= judge.parents[best].fitness else kitchen.only(best)


def questions(parents: Parents, config: EvoMergeConfig, split: Split, count: int) -> Encoded:
    settings = config.evaluation
    seed = Rng(config.seed, f"evomerge/{split}").seed
    try:
        drawn = Questions.drawn(settings.families, split, count=count, seed=seed)
        return drawn.encoded(parents.codec, context=parents.context, batch=settings.batch)
    except InvalidInput as error:
        error.field = f"evaluation.families.{error.field}"
        raise


def say_parents(context: PhaseContext, parents: Parents, judge: Judge) -> None:
    items = sum(judge.questions.count(name) for name in judge.questions.scored)
    for name, score in zip(parents.names, judge.parents, strict=True):
        method = "against the mean of all parents, selection split"
        context.measure(Measurement(f"evomerge/parents/{name}/fitness", score.fitness, "1", method, items))
