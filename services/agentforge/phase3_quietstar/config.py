"""What Quiet-STaR takes. Free of torch: a service validates it."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from agentforge.data.config import FamiliesConfig, HeldOutConfig
from agentforge.data.tasks import family
from agentforge.kit.config import StrictModel, TeamConfig, Unfit
from agentforge.kit.errors import InvalidInput
from agentforge.kit.phase import PhaseSpec, Slot
from agentforge.train.config import TrainConfig

STEPS = "_steps"  # families whose items are worked out end in it: arithmetic_steps is arithmetic with its steps
_MANY = 1_000_000  # beyond, a number of tokens, steps or items is a slip: it would only exhaust memory or patience


class SamplingConfig(StrictModel):
    """How a thought is drawn."""

    thoughts: int = Field(4, ge=1, le=16, description="Thoughts at one place; one alone has no reward.")
    length: int = Field(32, ge=1, le=64, description="Most tokens of a thought, its two marks not counted.")
    top_p: float = Field(0.9, gt=0, le=1, description="Nucleus: the likeliest tokens that have this much in all.")
    temperature: float = Field(1.0, ge=1e-3, le=100, description="Above 1 more varied, below 1 less.")
    straight_through: bool = Field(
        False, description="Gradients pass a drawn token as if it were the mean embedding of the policy."
    )


class InjectionConfig(StrictModel):
    """Where thoughts are had in training: at the hardest places, by a weighted mean of signals in [0, 1]."""

    entropy: float = Field(1.0, ge=0, description="Weight of the entropy of the prediction over log V.")
    loss: float = Field(0.0, ge=0, description="Weight of 1 - probability of the true next token.")
    dispersion: float = Field(0.0, ge=0, description="Weight of how evenly the model attends.")
    interval: int = Field(4, ge=1, le=_MANY, description="Least distance of two places in tokens.")
    budget: float = Field(0.1, gt=0, le=1, description="Share of the learned tokens; 1 with interval 1: all.")

    @model_validator(mode="after")
    def _some_signal(self) -> Self:
        if self.entropy + self.loss + self.dispersion == 0:
            raise ValueError("entropy, loss and dispersion must not all be 0: nothing would say what is hard")
        return self


class CoherenceConfig(StrictModel):
    filter: bool = Field(False, description="Leave incoherent thoughts out of training.")
    threshold: float = Field(0.5, ge=0, le=1, description="The least coherence of a thought that counts.")


class LossConfig(StrictModel):
    """What training minimises. Bounds act only where they are crossed."""

    text: float = Field(1.0, ge=0, description="Weight of the plain prediction's loss.")
    reinforce: float = Field(1.0, ge=0, description="Weight of REINFORCE on the thoughts' tokens; 0: none.")
    positive_only: bool = Field(True, description="Only thoughts better than the mean of their place are rewarded.")
    entropy_floor: float = Field(0.0, ge=0, description="Nats below which thoughts are too much alike; 0: none.")
    divergence_ceiling: float | None = Field(
        None,
        ge=0,
        description="Nats of KL from the model as it was, above which thoughts are no language; null: none.",
    )
    bounds: float = Field(0.1, ge=0, description="Weight of what is beyond a bound.")


class DataConfig(FamiliesConfig):
    worked: list[str] = Field(
        ["arithmetic", "nested"], description="Families whose worked steps are shown as thoughts before training."
    )
    length: int = Field(256, ge=8, le=_MANY, description="Most tokens in a row, thoughts not counted.")

    @field_validator("worked")
    @classmethod
    def _can_be_worked(cls, value: list[str]) -> list[str]:
        for name in value:
            try:
                family(name + STEPS)
            except InvalidInput:
                raise ValueError(f"{name} has no worked steps: there is no family {name + STEPS}") from None
        if len(set(value)) < len(value):
            raise ValueError("a family is named twice")
        return value

    @model_validator(mode="after")
    def _worked_are_families(self) -> Self:
        for name in self.worked:
            if name not in self.families:
                step = f"Add {name} to families, or take it out of worked."
                raise Unfit("worked", f"{name} is worked, and no family of this run", next_step=step)
        return self


class EvaluationConfig(HeldOutConfig):
    batch: int = Field(64, ge=2, le=_MANY, description="Items of one forward pass.")


class WorkedConfig(TrainConfig):
    """Defaults of its own, which hold also where only some fields are set."""

    steps: int = Field(500, ge=1, le=100_000_000, description="Optimiser steps.")
    batch: int = Field(64, ge=1, le=_MANY, description="Rows of one forward pass.")
    embedding_lr: float | None = Field(1e-3, gt=0, description="AdamW's rate for token embeddings; null: lr.")
    checkpoint_every: int = Field(100, ge=0, description="Steps between checkpoints; 0: only when stopped.")


class ThinkingConfig(TrainConfig):
    """Rates a tenth of the usual: at those, 40 steps destroyed thoughts that had been right every time."""

    batch: int = Field(16, ge=1, le=_MANY, description="Rows of one forward pass.")
    lr: float = Field(1e-3, gt=0, description="Learning rate of AdamW.")
    embedding_lr: float | None = Field(1e-4, gt=0, description="AdamW's rate for token embeddings; null: lr.")
    muon_lr: float = Field(2e-3, gt=0, description="Learning rate of Muon, in units of orthogonal updates.")
    checkpoint_every: int = Field(100, ge=0, description="Steps between checkpoints; 0: only when stopped.")


class QuietStarConfig(TeamConfig):
    sampling: SamplingConfig = Field(SamplingConfig(), description="How thoughts are drawn.")
    ahead: int = Field(4, ge=1, le=64, description="Tokens that a thought serves, in training and in speaking.")
    first_alpha: float = Field(
        0.5, gt=0, lt=1, description="Share of the plain prediction before the mixing head has learned."
    )
    injection: InjectionConfig = Field(InjectionConfig(), description="Where thoughts are had in training.")
    coherence: CoherenceConfig = Field(CoherenceConfig(), description="The seeds' coherence of a thought.")
    loss: LossConfig = Field(LossConfig(), description="What training minimises.")
    data: DataConfig = Field(DataConfig(), description="What is learned.")
    worked: WorkedConfig = Field(WorkedConfig(), description="Training on worked steps as thoughts.")
    thinking: ThinkingConfig = Field(ThinkingConfig(), description="Training with thoughts of the model's own.")
    thoughtless: Literal["tokens", "compute"] = Field(
        "tokens", description="What the training without thoughts has as much of: tokens, or passes of tokens."
    )
    keep: Literal["best", "thinking"] = Field(
        "best",
        description="best: of input, thoughtless training and thinking the one with the least selection loss.",
    )
    samples: int = Field(100, ge=1, description="Steps between samples of thoughts, shown as events.")
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="What is measured on held-out items.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.sampling.thoughts == 1 and self.loss.reinforce:
            message = "one thought alone has no reward: it is measured against the others of its place"
            raise Unfit("sampling.thoughts", message, next_step="Take two or more, or set loss.reinforce to 0.")
        if not math.isfinite(self.loss.text + self.loss.reinforce + self.loss.bounds):
            raise ValueError("the weights of the loss are too large for a number")
        if self.worked.threads != self.thinking.threads:
            raise Unfit("thinking.threads", "both trainings and the evaluation work with the same threads")
        for name, batch in (("worked", self.worked.batch), ("thinking", self.thinking.batch)):
            if batch % self.processes:
                message = f"{batch:,} rows cannot be shared out evenly among {self.processes} processes"
                step = f"Set it to a multiple of {self.processes}, or change processes."
                raise Unfit(f"{name}.batch", message, reason="UNEVEN_BATCH", next_step=step)
        return self


PHASE = PhaseSpec(
    name="quietstar",
    summary="Teaches a model to think before hard tokens, and keeps that only where it measures better.",
    config=QuietStarConfig,
    run="agentforge.phase3_quietstar.phase:run",
    check="agentforge.phase3_quietstar.admission:check",
    takes=(Slot("model", "model", description="A Titan, or any causal language model with ordinary attention."),),
    makes=(Slot("model", "model", description="The model, with its mixing head and habits where it thinks."),),
    evidence="agentforge.phase3_quietstar.experiments:EXPERIMENTS",
)
