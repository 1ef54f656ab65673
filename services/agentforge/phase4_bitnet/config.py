"""What BitNet takes. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from agentforge.data.config import FamiliesConfig, HeldOutConfig
from agentforge.kit.config import StrictModel, TeamConfig, Unfit
from agentforge.kit.phase import PhaseSpec, Slot
from agentforge.train.config import TrainConfig

_MANY = 1_000_000  # beyond, a number of tokens or items is a slip: it would only exhaust memory or patience


class TernaryConfig(StrictModel):
    """How a layer is ternary, before calibration."""

    scale: Literal["tensor", "channel", "group"] = Field(
        "tensor", description="What shares a scale: the matrix, an output channel, or a group of its inputs."
    )
    group: int = Field(0, ge=0, le=_MANY, description="Inputs that share a scale, where scale is group; else 0.")
    norm: bool = Field(
        False, description="RMS norm before each layer's activations are quantised; changes what it computes."
    )

    @model_validator(mode="after")
    def _group_of_groups(self) -> Self:
        if (self.scale == "group") != (self.group > 0):
            step = "Take a group above 0 with scale group, and 0 with every other."
            message = f"a group of {self.group} does not go with one scale for each {self.scale}"
            raise Unfit("group", message, next_step=step)
        return self


class CalibrationConfig(StrictModel):
    """On the calibration split: what passes each layer, and what ternary weights make of it."""

    samples: int = Field(200, ge=100, le=10_000, description="Items, evenly of all families.")
    batch: int = Field(64, ge=1, le=10_000, description="Items of one forward pass.")
    thresholds: bool = Field(
        True, description="Each layer has the threshold and fit of least output error; else 0.5 and absmean."
    )
    sensitivity: int = Field(
        100, ge=0, le=10_000, description="Items on which each layer alone is made ternary; 0: not measured."
    )
    high_precision: Literal["none", "measured"] = Field(
        "none", description="measured: a layer stays as it is where its output error is above the bound."
    )
    bound: float = Field(
        0.5, gt=0, le=1, description="Largest output error: squared, over that of giving nothing out."
    )

    @model_validator(mode="after")
    def _a_batch(self) -> Self:
        if self.samples < self.batch:
            message = f"{self.samples} samples are fewer than a batch of {self.batch}"
            raise Unfit("samples", message, next_step="Take more samples or a smaller batch.")
        return self


class LossConfig(StrictModel):
    task: float = Field(1.0, ge=0, le=1e6, description="Weight of the loss on the items.")
    distillation: float = Field(
        0.0, ge=0, le=1e6, description="Weight of the KL from the input model's predictions, times temperature²."
    )
    temperature: float = Field(1.0, ge=0.1, le=100, description="Of both predictions in the distillation.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.task + self.distillation == 0:
            raise ValueError("task and distillation must not both be 0: nothing would be learned")
        return self


class DataConfig(FamiliesConfig):
    length: int = Field(256, ge=8, le=_MANY, description="Most tokens in a row.")


class FineTuningConfig(TrainConfig):
    """A half to a quarter of the usual rates: what is trained has learned already."""

    steps: int = Field(500, ge=1, le=100_000_000, description="Optimiser steps.")
    batch: int = Field(64, ge=1, le=_MANY, description="Rows of one forward pass.")
    lr: float = Field(1e-3, gt=0, description="Learning rate of AdamW.")
    embedding_lr: float | None = Field(5e-4, gt=0, description="AdamW's rate for token embeddings; null: lr.")
    muon_lr: float = Field(0.005, gt=0, description="Learning rate of Muon, in units of orthogonal updates.")
    checkpoint_every: int = Field(100, ge=0, description="Steps between checkpoints; 0: only when stopped.")


class BoundsConfig(StrictModel):
    """What may be lost against the input model. On the selection split it decides whether a round follows."""

    accuracy: float = Field(0.07, ge=0, le=1, description="Share of the input's accuracy, mean over families.")
    nats: float = Field(0.12, ge=0, le=100, description="Nats per answer token.")


class PackingConfig(StrictModel):
    packed: Literal["2", "1.6"] | None = Field(
        None, description="Bits of a weight in a second, packed output; null: none, phase 8 packs."
    )
    embeddings: Literal[32, 8, 4] = Field(8, description="Bits of embeddings and head in packed files.")
    gguf: Literal["TQ2_0", "TQ1_0"] | None = Field(
        None, description="Type of ternary layers in a third output, a GGUF file for llama.cpp; null: none."
    )

    @field_validator("packed", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """A command line and YAML say 2 and 1.6, which are numbers there."""
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class BitNetConfig(TeamConfig):
    ternary: TernaryConfig = Field(TernaryConfig(), description="How layers are ternary.")
    calibration: CalibrationConfig = Field(CalibrationConfig(), description="What is measured before training.")
    warmup: float = Field(
        0.2, ge=0, le=0.9, description="First share of all steps in which weights go from plain to ternary."
    )
    loss: LossConfig = Field(LossConfig(), description="What training minimises.")
    data: DataConfig = Field(DataConfig(), description="What is calibrated, trained and measured on.")
    train: FineTuningConfig = Field(FineTuningConfig(), description="Training with quantisation in the loop.")
    rounds: int = Field(
        3, ge=1, le=100, description="Most trainings of train.steps each: one more while a bound is not kept."
    )
    evaluation: HeldOutConfig = Field(HeldOutConfig(), description="What is measured on held-out items.")
    bounds: BoundsConfig = Field(BoundsConfig(), description="What may be lost, and when enough was trained.")
    packing: PackingConfig = Field(PackingConfig(), description="Packed files.")

    @model_validator(mode="after")
    def _shared_out(self) -> Self:
        if self.train.batch % self.processes:
            message = f"{self.train.batch:,} rows cannot be shared out evenly among {self.processes} processes"
            step = f"Set it to a multiple of {self.processes}, or change processes."
            raise Unfit("train.batch", message, reason="UNEVEN_BATCH", next_step=step)
        return self


PHASE = PhaseSpec(
    name="bitnet",
    summary="Makes a model's layers ternary (1.58 bits), and trains them until little is lost.",
    config=BitNetConfig,
    run="agentforge.phase4_bitnet.phase:run",
    check="agentforge.phase4_bitnet.admission:check",
    evidence="agentforge.phase4_bitnet.experiments:EXPERIMENTS",
    takes=(Slot("model", "model", description="A Titan or a Llama-like causal language model, not yet ternary."),),
    makes=(
        Slot("model", "model", description="The ternary model, with the latents that it is trained by."),
        Slot("packed", "packed", 0, 1, "The same in packed weights, where packing.packed asks for it."),
        Slot("gguf", "gguf", 0, 1, "The same for llama.cpp, where packing.gguf asks for it: of a Llama alone."),
    ),
)
