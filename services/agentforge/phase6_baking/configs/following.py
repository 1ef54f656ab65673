"""How a model is taught to follow the prompts that are baked later. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentforge.train.config import RewindConfig, TrainConfig


class FollowingConfig(TrainConfig):
    """Supervised: with a prompt before the question its answer is the prompt's, without one it is what it was."""

    needed: bool = Field(True, description="false: the model follows the prompts as it is, and is not taught to.")
    ways: Literal["plain", "several"] = Field(
        "several", description="How questions are put: as their tasks do, or in several ways."
    )
    skills: float = Field(
        1.0, gt=0, le=100, description="Rows of a skill in the persona's manner for each of a tool's task."
    )
    plain: float = Field(
        0.5,
        gt=0,
        le=100,
        description="Rows without any prompt for each row with one: skills and text, which stay as they are.",
    )
    steps: int = Field(2_000, ge=1, le=100_000_000, description="Optimiser steps.")
    batch: int = Field(64, ge=1, le=1_000_000, description="Rows of one forward pass.")
    embedding_lr: float | None = Field(1e-3, gt=0, description="AdamW's rate for token embeddings; null: lr.")
    rewind: RewindConfig = Field(RewindConfig(most=3), description="Where the loss jumps or is no number.")
    checkpoint_every: int = Field(500, ge=0, description="Steps between checkpoints; 0: only when stopped.")
