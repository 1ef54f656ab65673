"""How tools and persona take turns. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentforge.data.config import HeldOutConfig
from agentforge.kit.config import StrictModel
from agentforge.train.config import RewindConfig, TrainConfig

_MANY = 1_000_000


class CyclesConfig(StrictModel):
    """A: tools. B: persona. A, B, A, B, … until persona.plateau ends it."""

    most: int = Field(3, ge=0, le=100, description="Rounds of each; 0: nothing is baked.")
    questions: int = Field(
        2_048, ge=8, le=_MANY, description="Questions that are answered to bake from, each round."
    )
    outcomes: Literal["right", "all"] = Field(
        "right", description="Of the answers that questions get: those that end right are learned, or all."
    )


class EvaluationConfig(HeldOutConfig):
    dialogues: int = Field(
        64, ge=2, le=_MANY, description="Questions of each family to persona; each is asked in several ways."
    )


class RoundConfig(TrainConfig):
    """The training of one round: gentle, since what it moves beside the prompt is lost (docs/baking.md)."""

    steps: int = Field(500, ge=1, le=100_000_000, description="Optimiser steps.")
    batch: int = Field(64, ge=1, le=1_000_000, description="Rows of one forward pass.")
    optimiser: Literal["adamw", "muon"] = Field("adamw", description="As in every training; Muon moves more.")
    lr: float = Field(5e-4, gt=0, description="Learning rate of AdamW.")
    embedding_lr: float | None = Field(1e-4, gt=0, description="AdamW's rate for token embeddings; null: lr.")
    rewind: RewindConfig = Field(RewindConfig(most=3), description="Where the loss jumps or is no number.")
    checkpoint_every: int = Field(250, ge=0, description="Steps between checkpoints; 0: only when stopped.")
