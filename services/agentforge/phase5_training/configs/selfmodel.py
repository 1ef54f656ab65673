"""What self-modelling takes. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentforge.kit.config import StrictModel

Depth = Annotated[float, Field(gt=0, lt=1)]


class SelfModelConfig(StrictModel):
    """Self-modelling (Premakumar 2024): the model predicts its own hidden states while it learns its task."""

    weight: float = Field(
        0.0, ge=0, le=1e6, description="Of the auxiliary loss beside the task's (seeds: 0.1); 0: off."
    )
    depths: list[Depth] = Field(
        [0.27, 0.55, 0.82],
        min_length=1,
        max_length=64,
        description="Predicted states, as parts of the depth: layers 3, 6 and 9 of 11.",
    )
    predicted_from: Literal["last", "next"] = Field(
        "last", description="What a state is predicted from: the last hidden state, or the next predicted one."
    )
    detach: bool = Field(
        False, description="Predicted states do not learn to be easy to predict; the paper's do: its effect."
    )
