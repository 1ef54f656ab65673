"""What training of ternary layers takes besides straight-through gradients. Free of torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentforge.kit.config import StrictModel


class QuantisedConfig(StrictModel):
    """A model without ternary layers trains as if all of it were off."""

    regulariser: float = Field(
        0.0, ge=0, le=1e6, description="Weight of the squared distance of latents to their codes."
    )
    scaling: Literal["none", "gradient", "update"] = Field(
        "update",
        description="What is scaled in each layer towards the wanted flips. AdamW and Muon undo a constant factor "
        "of the gradient; an update keeps it.",
    )
    wanted: float = Field(1e-3, gt=0, le=1, description="Share of a layer's codes that is to flip in a step.")
    memory: float = Field(
        0.9, ge=0, lt=1, description="What is kept at each step of the average share of flipped codes."
    )
    most: float = Field(4.0, ge=1, le=1e3, description="Largest factor; the least is its inverse.")
    count: bool = Field(True, description="Flipped codes are counted also where nothing is scaled.")
