"""How fast a training goes in each of its four stages. Free of torch: a service validates it."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from agentforge.kit.config import StrictModel

_MOST = 100.0  # times the rate, or times Grokfast's weight: beyond, it is a slip


class StageConfig(StrictModel):
    """A class for each stage, so that one field can be set and the others stay those of the stage."""

    share: float = Field(gt=0, lt=1, description="Of all steps.")
    rate: float = Field(gt=0, le=_MOST, description="Times the learning rate.")
    grokfast: float = Field(
        ge=0, le=_MOST, description="Times grokfast.lamb; 0: its memory goes on, nothing is added."
    )


class WarmupConfig(StageConfig):
    """The rate rises in even parts from 0 to its own."""

    share: float = Field(0.1, gt=0, lt=1, description="Of all steps.")
    rate: float = Field(1.0, gt=0, le=_MOST, description="Times the learning rate, at the end of the stage.")
    grokfast: float = Field(0.0, ge=0, le=_MOST, description="Times grokfast.lamb.")


class AccelerationConfig(StageConfig):
    share: float = Field(0.4, gt=0, lt=1, description="Of all steps.")
    rate: float = Field(1.0, gt=0, le=_MOST, description="Times the learning rate.")
    grokfast: float = Field(1.0, ge=0, le=_MOST, description="Times grokfast.lamb.")


class ConsolidationConfig(StageConfig):
    share: float = Field(0.3, gt=0, lt=1, description="Of all steps.")
    rate: float = Field(0.2, gt=0, le=_MOST, description="Times the learning rate.")
    grokfast: float = Field(0.0, ge=0, le=_MOST, description="Times grokfast.lamb.")


class RefinementConfig(StageConfig):
    """The rate falls in even parts from its own to `floor` of it."""

    share: float = Field(0.2, gt=0, lt=1, description="Of all steps.")
    rate: float = Field(0.2, gt=0, le=_MOST, description="Times the learning rate, at the beginning of the stage.")
    grokfast: float = Field(0.0, ge=0, le=_MOST, description="Times grokfast.lamb.")
    floor: float = Field(0.0, ge=0, le=1, description="What is left of the stage's rate at its end.")


class PaceConfig(StrictModel):
    kind: Literal["none", "stages"] = Field(
        "none", description="none: train.schedule alone. stages: the four below, times train.schedule."
    )
    warmup: WarmupConfig = Field(WarmupConfig(), description="The rate rises.")
    acceleration: AccelerationConfig = Field(AccelerationConfig(), description="Grokfast's own stage.")
    consolidation: ConsolidationConfig = Field(ConsolidationConfig(), description="What was learned is kept.")
    refinement: RefinementConfig = Field(RefinementConfig(), description="The rate falls.")
    boundaries: Literal["progress", "signal"] = Field(
        "progress",
        description="progress: by shares. signal: acceleration and consolidation end early once the loss stands.",
    )
    fall: float = Field(0.005, ge=0, le=100, description="signal: nats of validation loss; less is standing still.")
    evaluations: int = Field(5, ge=1, le=10_000, description="signal: so many without such a fall end a stage.")

    @property
    def stages(self) -> tuple[StageConfig, ...]:
        """In their order."""
        return self.warmup, self.acceleration, self.consolidation, self.refinement

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = math.fsum(stage.share for stage in self.stages)
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares of the four stages add up to {total:.12g}, not to 1")
        return self
