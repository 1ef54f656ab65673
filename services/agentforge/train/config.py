"""What can be set about a training. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from agentforge.kit.config import StrictModel


class GrokfastConfig(StrictModel):
    """Grokfast (Lee 2024): gradient + lamb * low-pass(gradient)."""

    filter: Literal["none", "ema", "ma"] = Field(
        "none", description="Exponential moving average, plain moving average over a window, or no filter."
    )
    alpha: float = Field(0.98, ge=0, lt=1, description="ema: what is kept of the average at each step.")
    lamb: float = Field(2.0, ge=0, description="Weight of the slow part (paper: 2 for ema, 5 for ma).")
    window: int = Field(
        100, ge=1, le=10_000, description="ma: steps averaged over; it acts once so many were seen."
    )


class RewindConfig(StrictModel):
    """What to do about a loss that is no number, or that jumps: go back, and leave out the batches since then."""

    most: int = Field(0, ge=0, le=1_000, description="Rewinds of one training; one more ends it. 0: none.")
    every: int = Field(100, ge=1, le=1_000_000, description="Steps between the states that can be gone back to.")
    spike: float = Field(2.0, gt=0, description="Nats above the median of the last losses that are a jump.")
    window: int = Field(50, ge=2, le=10_000, description="Losses that the median is of; before so many, none is.")
    slower: float = Field(0.5, gt=0, le=1, description="Times the learning rate from each rewind on.")


class TrainConfig(StrictModel):
    steps: int = Field(1_000, ge=1, le=100_000_000, description="Optimiser steps.")
    batch: int = Field(128, ge=1, le=1_000_000, description="Rows of one forward pass.")
    accumulation: int = Field(
        1, ge=1, le=1_000_000, description="Forward passes whose gradients are averaged into one step."
    )

    optimiser: Literal["adamw", "muon"] = Field(
        "muon",
        description="muon: Muon for matrices of linear layers, AdamW for all else. adamw: for everything.",
    )
    lr: float = Field(3e-3, gt=0, description="Learning rate of AdamW.")
    embedding_lr: float | None = Field(
        None, gt=0, description="AdamW's rate for token embeddings; null: lr. Tied ones collapse where it is high."
    )
    muon_lr: float = Field(0.02, gt=0, description="Learning rate of Muon, in units of orthogonal updates.")
    muon_momentum: float = Field(0.95, ge=0, lt=1, description="Nesterov momentum of Muon.")
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW: memory of the mean gradient.")
    beta2: float = Field(0.95, ge=0, lt=1, description="AdamW: memory of the squared gradient.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled decay of matrices, not of gains and biases.")
    clip: float = Field(1.0, gt=0, description="Largest norm of the whole gradient.")
    grokfast: GrokfastConfig = Field(GrokfastConfig(), description="Filter on gradients, before clipping.")

    schedule: Literal["constant", "cosine", "wsd"] = Field(
        "wsd", description="After the warm-up: constant; half a cosine; or stable, then a linear decay."
    )
    warmup: int = Field(20, ge=0, description="Steps in which the learning rate rises from 0.")
    decay: float = Field(0.5, ge=0, le=1, description="wsd: last share of all steps in which the rate falls.")
    floor: float = Field(0.0, ge=0, le=1, description="cosine, wsd: what is left of the learning rate at the end.")

    rewind: RewindConfig = Field(RewindConfig(), description="Where the loss jumps or is no number.")
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="bfloat16: autocast; weights and optimiser stay float32."
    )
    threads: int = Field(0, ge=0, le=4_096, description="CPU threads; 0: as many as cores this process may use.")
    deterministic: bool = Field(True, description="Only algorithms that give the same bytes each time.")

    checkpoint_every: int = Field(200, ge=0, description="Steps between checkpoints; 0: only when stopped.")
    evaluate_every: int = Field(0, ge=0, description="Steps between evaluations on the selection split; 0: none.")
    patience: int = Field(
        0,
        ge=0,
        description="Stop after so many evaluations without a better one, back at the best; 0: never.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.patience and not self.evaluate_every:
            raise ValueError("patience needs evaluate_every above 0: there is nothing to be patient about")
        if self.warmup >= self.steps and self.schedule != "constant":
            raise ValueError(
                f"warmup of {self.warmup} of {self.steps} steps leaves none for schedule {self.schedule}"
            )
        return self
