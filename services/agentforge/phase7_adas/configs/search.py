"""What the search takes. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from agentforge.kit.config import StrictModel, Unfit
from agentforge.shrink.config import FinalConfig, HealingConfig

_MANY = 1_000_000  # beyond, a number of items or trials is a slip: it would only exhaust memory or patience
Share = Annotated[float, Field(gt=0, lt=1)]


class SpaceConfig(StrictModel):
    """What a candidate may have less of. A gene that the model does not have is not in its space."""

    layers: float = Field(0.5, gt=0, le=1, description="Least share of layers kept; 1: all of them.")
    mlp: list[Share] = Field([0.75, 0.5, 0.375, 0.25], description="Shares of MLP units kept, besides all.")
    act_steps: bool = Field(True, description="Fewer halting steps than the model infers with.")
    memory_slots: list[Share] = Field([0.5, 0.25], description="Shares of memory slots kept, besides all.")
    bits: list[Literal[16, 8, 4]] = Field(
        [16, 8, 4], description="Bits of plain matrices, besides those they came in; ternary ones stay ternary."
    )
    sparsity: list[Literal["2:4", "0.5", "0.7", "0.9"]] = Field(
        ["2:4", "0.5"],
        description="Zeros in plain layers, besides none: two of four in a row, or this share of a matrix.",
    )


class BudgetsConfig(StrictModel):
    """What the chosen candidate must keep, on the selection split."""

    against: Literal["input", "unsearched"] = Field(
        "input",
        description="What is lost is lost against the input as it came, or healed as long as the candidates were.",
    )
    accuracy_lost: float = Field(
        0.0, ge=0, le=1, description="Largest share of accuracy, mean over families, that is lost."
    )
    margin: float = Field(
        1.0, ge=0, le=10,
        description="Standard errors of the loss, item by item, by which it must stay below what is allowed.",
    )  # fmt: skip
    nats_lost: float | None = Field(
        0.12, ge=0, le=100, description="Most nats per answer token that are lost; null: any."
    )
    parameters: float = Field(1.0, gt=0, le=1, description="Most parameters, as a share of the input's.")
    bytes: int | None = Field(None, ge=1, description="Most bytes of stored weights; null: any.")
    latency: float | None = Field(
        None, gt=0, description="Longest decode step, times the input's. Set, the choice hangs on a measurement."
    )
    latency_ms: float | None = Field(
        None,
        gt=0,
        description="Longest decode step on this machine. Set, the choice hangs on a measurement.",
    )


class SearchConfig(StrictModel):
    algorithm: Literal["nsga2", "tpe", "random"] = Field(
        "tpe", description="Who asks for candidates; random is what the other two are compared with."
    )
    trials: int = Field(
        48, ge=1, le=_MANY, description="Candidates healed and measured, the unsearched among them."
    )
    batch: int = Field(8, ge=1, le=10_000, description="Candidates asked for at once, whoever evaluates them.")
    population: int = Field(8, ge=2, le=10_000, description="nsga2: of a generation. tpe: random ones at first.")
    space: SpaceConfig = Field(SpaceConfig(), description="What may be less.")
    healing: HealingConfig = Field(HealingConfig(), description="Training of every candidate.")
    final: FinalConfig = Field(FinalConfig(), description="Training of the chosen one, from the input's weights.")
    distillation: float = Field(
        0.0, ge=0, le=1e6, description="Weight of the KL from the input's predictions, beside the items' loss."
    )
    items: int = Field(
        100,
        ge=10,
        le=_MANY,
        description="Items of each family in the selection split that rank the candidates.",
    )
    confirm_items: int = Field(
        400, ge=10, le=_MANY,
        description="Others of each family in that split, which decide the choice; all where it has fewer.",
    )  # fmt: skip
    finalists: int = Field(
        6, ge=1, le=_MANY, description="Candidates of the front that the choice is made from, the likeliest."
    )
    calibration: int = Field(64, ge=8, le=_MANY, description="Items of each family that say what matters least.")
    evaluation_batch: int = Field(256, ge=1, le=_MANY, description="Items of one forward pass.")
    context: int = Field(64, ge=1, le=_MANY, description="Tokens seen by the one whose cost is counted and timed.")
    repeats: int = Field(15, ge=3, le=10_000, description="Interleaved timings of each architecture.")
    budgets: BudgetsConfig = Field(BudgetsConfig(), description="What the chosen candidate keeps.")

    @model_validator(mode="after")
    def _batch_of_trials(self) -> Self:
        if self.batch > self.trials:
            message = f"a batch of {self.batch} is more than all {self.trials} trials"
            raise Unfit("batch", message, next_step="Take a smaller batch or more trials.")
        return self
