"""What EvoMerge takes. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from agentforge.data.config import FamiliesConfig
from agentforge.kit.config import StrictModel, TeamConfig, Unfit, validate_config
from agentforge.kit.errors import InvalidInput
from agentforge.kit.phase import PhaseSpec, Slot
from agentforge.phase2_evomerge.evaluation.fitness import FitnessWeights
from agentforge.phase2_evomerge.methods import METHODS
from agentforge.phase2_evomerge.operators.combination import CombinationOptions

_MANY = 1_000_000  # beyond, a number of items is a slip: it would only exhaust memory or patience


class MergeConfig(StrictModel):
    """One merge by a named method; for `algorithm: merge`."""

    method: str = Field("linear", description=f"One of {', '.join(METHODS)}.")
    options: dict[str, Any] = Field({}, description="The method's own options.")

    @model_validator(mode="after")
    def _known(self) -> Self:
        try:
            validate_config(METHODS[self.method].Options, self.options)
        except KeyError:
            known = f"Known methods: {', '.join(METHODS)}."
            raise Unfit("method", f"there is no merge method {self.method!r}", next_step=known) from None
        except InvalidInput as error:
            first = error.violations[0]
            field = f"options.{first.field}"
            raise Unfit(field, first.message, reason=first.reason, next_step=first.next_step) from None
        return self


class MutationConfig(StrictModel):
    sigma: float = Field(0.01, gt=0, le=1, description="Standard deviation of the noise on a mutated weight.")
    rate: float = Field(0.01, ge=0, le=1, description="Share of the weights that are mutated.")
    adaptive: bool = Field(
        False,
        description="Widen sigma when more than one mutant in five is better than its parent, else narrow it.",
    )


class GeneticConfig(StrictModel):
    """`algorithm: genetic`: the best are mutated, the others merged in threes by combinations."""

    mutation: MutationConfig = Field(MutationConfig(), description="How children of the best differ from them.")
    selection: Literal["rank", "tournament"] = Field(
        "rank", description="Whose children the mutants are: the best quarter's, or winners of tournaments."
    )
    tournament: int = Field(3, ge=2, le=64, description="tournament: models that meet in one.")
    crossover: float = Field(
        0.0, ge=0, le=1, description="Chance of a mutant to take each layer from one of two parents (seeds: 0.7)."
    )
    diversity: float = Field(
        0.3, ge=0, le=1, description="Below this rate of disagreement the last two are made anew from the parents."
    )


class RecipeConfig(StrictModel):
    """`algorithm: cma_es` and `nsga2`: what is evolved is each parent's weight in each group of layers."""

    sigma: float = Field(0.2, gt=0, le=2, description="cma_es: first standard deviation of the weights.")
    lowest: float = Field(-0.5, ge=-4, le=0, description="Smallest weight of a parent's change from the base.")
    highest: float = Field(1.5, ge=1, le=4, description="Largest one; 1 is the parent's whole change.")
    given: dict[str, list[float]] | None = Field(
        None, description="Make exactly this one, a point of a front or a champion's, and evolve nothing."
    )


class EvaluationConfig(FamiliesConfig):
    items: int = Field(200, ge=10, le=_MANY, description="Items of each family in the selection split.")
    test_items: int = Field(250, ge=10, le=_MANY, description="Items of each family in the test split.")
    layer_items: int = Field(32, ge=4, le=_MANY, description="Items of each family for layer fitness and Fisher.")
    batch: int = Field(256, ge=1, le=_MANY, description="Items of one forward pass.")


class EvoMergeConfig(TeamConfig):
    algorithm: Literal["cma_es", "genetic", "nsga2", "merge"] = Field(
        "cma_es",
        description="cma_es: recipes by CMA-ES; genetic: the seeds' elites and losers; nsga2: a Pareto front; "
        "merge: one merge and no evolution.",
    )
    strict: bool = Field(
        True, description="Exactly three Titan models of the expected size; false: any, two to 64."
    )
    parameters: int | None = Field(
        25_069_534, ge=1, description="strict: what each model must have, within 5 %; null: whatever they have."
    )
    base: Literal["trunk", "mean"] = Field(
        "trunk", description="What changes are measured from: the trunk that is given, or the parents' mean."
    )
    generations: int = Field(50, ge=1, le=100_000, description="At most so many after the first.")
    population: int = Field(8, ge=8, le=64, multiple_of=4, description="Models of one generation.")
    patience: int = Field(5, ge=0, description="Stop after so many generations without improvement; 0: never.")
    improvement: float = Field(0.001, ge=0, le=1, description="Share by which fitness must rise to count as one.")
    weights: FitnessWeights = Field(FitnessWeights(), description="Shares of the four terms of fitness.")
    combination: CombinationOptions = Field(CombinationOptions(), description="The eight combinations' stages.")
    genetic: GeneticConfig = Field(GeneticConfig(), description="For `genetic`.")
    recipe: RecipeConfig = Field(RecipeConfig(), description="For `cma_es` and `nsga2`.")
    merge: MergeConfig = Field(MergeConfig(), description="For `merge`.")
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="What fitness is measured on.")
    threads: int = Field(
        0, ge=0, le=4_096, description="CPU threads; 0: all cores. How many changes a result's last bits."
    )
    deterministic: bool = Field(True, description="Only algorithms that give the same bytes each time.")

    @model_validator(mode="after")
    def _recipes_are_evolved(self) -> Self:
        if self.recipe.given is not None and self.algorithm not in ("cma_es", "nsga2"):
            message = f"a recipe is given, and {self.algorithm} makes nothing by recipes"
            raise Unfit("recipe.given", message, next_step="Set algorithm to cma_es, or leave the recipe out.")
        return self


PHASE = PhaseSpec(
    name="evomerge",
    summary="Merges three models and evolves the merges: one model that knows what each of them knew best.",
    config=EvoMergeConfig,
    run="agentforge.phase2_evomerge.phase:run",
    check="agentforge.phase2_evomerge.admission:check",
    takes=(
        Slot("trunk", "trunk", 0, 1, "The model that all parents were trained from."),
        Slot("models", "model", 2, 64, "the parents, three of them unless strict is false."),
    ),
    makes=(Slot("champion", "model", description="The best model that was found, with the log of its evolution."),),
    evidence="agentforge.phase2_evomerge.experiments:EXPERIMENTS",
    stands_on=("agentforge.models", "agentforge.data", "agentforge.train"),
)
