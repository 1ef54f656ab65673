"""What learning by verifiable rewards takes. Free of torch: a service validates it."""

from __future__ import annotations

from pydantic import Field

from agentforge.kit.config import StrictModel


class RewardsConfig(StrictModel):
    """GRPO (Shao 2024) on exact scorers, after supervised training."""

    steps: int = Field(0, ge=0, le=100_000_000, description="Optimiser steps after supervised training; 0: none.")
    prompts: int = Field(16, ge=1, le=100_000, description="Prompts of one step.")
    answers: int = Field(8, ge=2, le=10_000, description="Answers to each prompt, compared with each other.")
    temperature: float = Field(1.0, ge=0.05, le=100, description="Of the answers; what learns is that policy.")
    normalise: bool = Field(
        False, description="Advantages in deviations of their group (GRPO), or plain (Dr. GRPO)."
    )
    kl: float = Field(0.0, ge=0, le=1e6, description="Weight of the KL to the model at the stage's start; 0: none.")
    rate: float = Field(0.1, gt=0, le=100, description="Times the learning rates of supervised training.")
    resampling: int = Field(
        4, ge=0, le=1_000, description="Most draws of other prompts for those with answers all right or all wrong."
    )

    @property
    def rows(self) -> int:
        """Of one batch."""
        return self.prompts * self.answers
