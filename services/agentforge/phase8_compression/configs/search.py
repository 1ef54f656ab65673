"""How candidates are looked for, and which is chosen. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from agentforge.kit.config import StrictModel, Unfit
from agentforge.shrink.asking import Algorithm

_MANY = 1_000_000


class WeightsConfig(StrictModel):
    """Where neither bytes nor retention is asked for, the best sum is chosen."""

    ratio: float = Field(0.4, ge=0, le=1, description="Of 1 - bytes / bytes of the input as it came in float32.")
    retention: float = Field(0.6, ge=0, le=1, description="Of the accuracy kept.")


class TargetConfig(StrictModel):
    """What is asked of the final model, judged on items of the selection split that no candidate had seen."""

    max_bytes: int | None = Field(
        None, ge=1, description="Most bytes of its file; null: any. Set, the best answers below it are chosen."
    )
    min_retention: float | None = Field(
        0.95, gt=0, le=1, description="Least share of the input's accuracy, in every family; null: any."
    )
    margin: float = Field(
        1.0, ge=0, le=5, description="Standard errors of the paired difference that must be kept beyond it."
    )
    weights: WeightsConfig = Field(WeightsConfig(), description="Without either bound.")


class SearchConfig(StrictModel):
    algorithm: Algorithm = Field("tpe", description="Who asks for candidates.")
    trials: int = Field(100, ge=1, le=_MANY, description="Candidates made, stored, read back and measured.")
    batch: int = Field(10, ge=1, le=10_000, description="Candidates asked for at once, whoever evaluates them.")
    population: int = Field(10, ge=2, le=10_000, description="nsga2: of a generation. tpe: random ones at first.")
    items: int = Field(100, ge=10, le=_MANY, description="Selection items of each family for every candidate.")
    confirm_items: int = Field(
        400, ge=10, le=_MANY, description="Fresh selection items of each family for those that nobody beats."
    )
    calibration: int = Field(64, ge=8, le=_MANY, description="Items of each family that say what matters least.")

    @model_validator(mode="after")
    def _batch_of_trials(self) -> Self:
        if self.batch > self.trials:
            message = f"a batch of {self.batch} is more than all {self.trials} trials"
            raise Unfit("batch", message, next_step="Take a smaller batch or more trials.")
        return self
