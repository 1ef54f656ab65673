"""How hard the items of a training are, step by step. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from agentforge.kit.config import StrictModel


class EdgeConfig(StrictModel):
    kind: Literal["edge", "uniform", "easy_to_hard"] = Field(
        "uniform",
        description="edge: steered by measured success. uniform: all alike. easy_to_hard: by the step.",
    )
    low: float = Field(0.55, gt=0, lt=1, description="Least success of the band that is steered for.")
    high: float = Field(0.75, gt=0, lt=1, description="Most success of the band; its middle is the target.")
    hysteresis: float = Field(
        0.03, ge=0, lt=0.5, description="edge: steering ends once measured success is so near to the target."
    )
    z: float = Field(
        0.7, gt=0, le=5, description="edge: steering begins once a Wilson interval of so many sigma excludes it."
    )
    largest: float = Field(0.25, gt=0, le=1, description="edge: most of a family's range that one move may cross.")
    every: int = Field(25, ge=1, le=1_000_000, description="Optimiser steps between measurements.")
    items: int = Field(
        256,
        ge=8,
        le=1_000_000,
        description="Items of each family in a measurement; a twice finer one takes four times.",
    )
    settling: int = Field(
        8, ge=1, le=1_000, description="Measurements before the first step: the model may know something already."
    )

    @property
    def target(self) -> float:
        return (self.low + self.high) / 2

    @model_validator(mode="after")
    def _band(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"the band from {self.low} to {self.high} is empty")
        if self.hysteresis >= (self.high - self.low) / 2:
            raise ValueError(
                f"a hysteresis of {self.hysteresis} is not inside the band: steering would end outside it"
            )
        return self
