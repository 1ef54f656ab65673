"""What Forge training takes. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from agentforge.data.config import HeldOutConfig
from agentforge.kit.config import TeamConfig, Unfit
from agentforge.kit.phase import PhaseSpec, Slot
from agentforge.phase5_training.configs.data import DataConfig
from agentforge.phase5_training.configs.dreams import DreamsConfig
from agentforge.phase5_training.configs.edge import EdgeConfig
from agentforge.phase5_training.configs.pace import PaceConfig
from agentforge.phase5_training.configs.quantised import QuantisedConfig
from agentforge.phase5_training.configs.rewards import RewardsConfig
from agentforge.phase5_training.configs.selfmodel import SelfModelConfig
from agentforge.train.config import RewindConfig, TrainConfig


class ForgeConfig(TrainConfig):
    """A quarter to a half of the usual rates: what is trained has learned already, and would lose it."""

    steps: int = Field(5_000, ge=1, le=100_000_000, description="Optimiser steps, those of dreams among them.")
    batch: int = Field(64, ge=1, le=1_000_000, description="Rows of one forward pass.")
    lr: float = Field(1e-3, gt=0, description="Learning rate of AdamW.")
    embedding_lr: float | None = Field(5e-4, gt=0, description="AdamW's rate for token embeddings; null: lr.")
    muon_lr: float = Field(0.005, gt=0, description="Learning rate of Muon, in units of orthogonal updates.")
    rewind: RewindConfig = Field(RewindConfig(most=3), description="Where the loss jumps or is no number.")
    checkpoint_every: int = Field(1_000, ge=0, description="Steps between checkpoints; 0: only when stopped.")
    evaluate_every: int = Field(100, ge=0, description="Steps between evaluations on the selection split; 0: none.")
    patience: int = Field(
        20,
        ge=0,
        description="Stop after so many evaluations without a better one, back at the best; 0: never.",
    )


class TrainingConfig(TeamConfig):
    data: DataConfig = Field(DataConfig(), description="What is trained and measured on.")
    train: ForgeConfig = Field(ForgeConfig(), description="Supervised training.")
    pace: PaceConfig = Field(PaceConfig(), description="How fast it goes, stage by stage.")
    edge: EdgeConfig = Field(EdgeConfig(), description="How hard the items are.")
    selfmodel: SelfModelConfig = Field(SelfModelConfig(), description="Predicting its own hidden states.")
    dreams: DreamsConfig = Field(DreamsConfig(), description="Replay of what was seen, and of its own answers.")
    quantised: QuantisedConfig = Field(QuantisedConfig(), description="What ternary layers get besides.")
    rewards: RewardsConfig = Field(RewardsConfig(), description="Learning by exact rewards, after all that.")
    evaluation: HeldOutConfig = Field(HeldOutConfig(), description="What is measured on held-out items.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_pace()
        self._check_edge()
        for field, rows in {"train.batch": self.train.batch, "rewards.prompts": self._rewarded}.items():
            if rows % self.processes:
                message = f"{rows:,} rows cannot be shared out evenly among {self.processes} processes"
                step = f"Set it to a multiple of {self.processes}, or change processes."
                raise Unfit(field, message, reason="UNEVEN_BATCH", next_step=step)
        return self

    @property
    def _rewarded(self) -> int:
        return self.rewards.rows if self.rewards.steps else 0

    def _check_pace(self) -> None:
        if self.pace.kind == "none":
            return
        if self.train.steps < len(self.pace.stages):
            message = f"{self.train.steps} steps cannot be divided into {len(self.pace.stages)} stages"
            raise Unfit("train.steps", message, next_step="Take more steps, or pace.kind none.")
        if self.pace.boundaries == "signal" and not self.train.evaluate_every:
            message = "stages that end by signal need a validation loss, and there is none"
            raise Unfit("pace.boundaries", message, next_step="Set train.evaluate_every above 0.")

    def _check_edge(self) -> None:
        if self.edge.kind == "uniform":
            return
        if all(len(set(self.data.difficulty(name))) == 1 for name in self.data.families):
            message = "every family has one difficulty, so there is nothing to steer"
            raise Unfit("edge.kind", message, next_step="Name more difficulties, or set it to uniform.")


PHASE = PhaseSpec(
    name="training",
    summary="Trains a model on, ternary or plain: curriculum, self-modelling, dreams, rewards, each switched.",
    config=TrainingConfig,
    run="agentforge.phase5_training.phase:run",
    check="agentforge.phase5_training.admission:check",
    evidence="agentforge.phase5_training.experiments:EXPERIMENTS",
    takes=(
        Slot("model", "model", description="A causal language model, ternary or plain; it stays what it is."),
        Slot("corpus", "corpus", 0, None, "Text to train on besides tasks."),
        Slot("tokens", "tokens", 0, 1, "Token files to train on besides tasks, of the model's own tokenizer."),
    ),
    makes=(Slot("model", "model", description="The model, trained on; latents, codes and scales where ternary."),),
)
