"""What a smaller model learns from the larger one. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentforge.kit.config import StrictModel
from agentforge.shrink.config import FinalConfig


class StudentConfig(StrictModel):
    """A new, smaller model. null: as the teacher has it."""

    kind: Literal["same", "titan", "llama"] = Field("same", description="Its architecture.")
    hidden: int | None = Field(None, ge=8, le=65_536, description="Hidden size.")
    layers: int | None = Field(None, ge=1, le=1_000, description="Layers.")
    heads: int | None = Field(None, ge=1, le=1_000, description="Attention heads.")
    intermediate: int | None = Field(None, ge=8, le=1_000_000, description="MLP units.")
    ternary: bool = Field(True, description="Its layers are ternary from the first step.")


class DistillationConfig(StrictModel):
    temperature: float = Field(4.0, gt=0, le=100, description="Of both sides' predictions.")
    alpha: float = Field(
        0.7, ge=0, le=1, description="Weight of the teacher's predictions; the rest: of the items."
    )
    feature: float = Field(0.0, ge=0, le=1e6, description="Weight of the distance of hidden states.")
    attention: float = Field(0.0, ge=0, le=1e6, description="Weight of the distance of attention.")
    students: dict[str, StudentConfig] = Field(
        {}, description="Students by name, of which the strategy distillation chooses."
    )
    train: FinalConfig = Field(FinalConfig(), description="Training of a student.")
