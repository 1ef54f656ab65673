"""How what was made smaller is trained. Free of torch: a service validates it."""

from __future__ import annotations

from pydantic import Field

from agentforge.train.config import TrainConfig

_MANY = 1_000_000


class HealingConfig(TrainConfig):
    """The usual rates are for models that know nothing: what is healed has learned already."""

    steps: int = Field(40, ge=1, le=100_000_000, description="Optimiser steps.")
    batch: int = Field(64, ge=1, le=_MANY, description="Rows of one forward pass.")
    lr: float = Field(1e-3, gt=0, description="Learning rate of AdamW.")
    embedding_lr: float | None = Field(5e-4, gt=0, description="AdamW's rate for token embeddings; null: lr.")
    muon_lr: float = Field(0.005, gt=0, description="Learning rate of Muon, in units of orthogonal updates.")
    warmup: int = Field(4, ge=0, description="Steps in which the learning rate rises from 0.")
    checkpoint_every: int = Field(0, ge=0, description="Steps between checkpoints; 0: only when stopped.")


class FinalConfig(HealingConfig):
    steps: int = Field(200, ge=1, le=100_000_000, description="Optimiser steps.")
    checkpoint_every: int = Field(100, ge=0, description="Steps between checkpoints; 0: only when stopped.")
