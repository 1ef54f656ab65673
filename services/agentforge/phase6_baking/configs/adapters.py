"""What adapters take. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentforge.kit.config import StrictModel

Weight = Annotated[float, Field(ge=-100, le=100)]
Target = Annotated[str, Field(min_length=1, max_length=200)]
Method = Literal["cat", "linear", "ties", "dare_linear", "dare_ties"]


class AdaptersConfig(StrictModel):
    """How adapters that are brought are merged into the model. All of it is PEFT's."""

    method: Method = Field(
        "cat",
        description="Of several. cat: the exact sum of what they do; the others combine factors A and B apart.",
    )
    weights: list[Weight] = Field(
        [], max_length=1_000, description="Of each adapter, in the order given; none: 1 for each."
    )
    density: float = Field(0.5, gt=0, le=1, description="ties, dare_*: share of an adapter's numbers that is kept.")


class LoraConfig(StrictModel):
    """An adapter that is trained beside a model whose own weights stay as they are."""

    rank: int = Field(8, ge=1, le=65_536, description="Rows of A; at rank 0 there would be nothing to train.")
    alpha: float = Field(16.0, gt=0, le=1e6, description="What B·A is multiplied with, times rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of an adapter's inputs left out in training.")
    targets: list[Target] = Field(
        [],
        max_length=10_000,
        description="Layers by the end of their names; none: all of attention, MLP and memory.",
    )
