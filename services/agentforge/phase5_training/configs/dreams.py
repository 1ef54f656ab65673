"""What dreams take. Free of torch: a service validates it."""

from __future__ import annotations

from pydantic import Field

from agentforge.kit.config import StrictModel


class DreamsConfig(StrictModel):
    """Stretches of training on what was seen before and on the model's own right answers."""

    every: int = Field(
        0, ge=0, le=100_000_000, description="Steps awake before each dream (seeds: 1,000); 0: no dreams."
    )
    steps: int = Field(1, ge=1, le=100_000_000, description="Optimiser steps of a dream (seeds: 50).")
    replayed: float = Field(
        1.0, ge=0, le=1, description="Share of rows seen before; the rest the model has answered itself."
    )
    memory: int = Field(1_024, ge=1, le=100_000, description="Rows remembered: an even sample of all seen.")
    prompts: int = Field(256, ge=1, le=100_000, description="Most remembered items answered for one dream.")
    temperature: float = Field(0.8, ge=0.05, le=100, description="Of the model's own answers.")
    batch: int = Field(64, ge=1, le=10_000, description="Items answered at a time.")
    anchor: float = Field(
        0.0, ge=0, le=1e6, description="Weight of the KL from the model at the dream's start; 0: none."
    )
