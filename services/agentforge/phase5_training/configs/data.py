"""What is trained on: families of tasks, their drills, and the text and tokens that a user brings. Torch-free."""

from __future__ import annotations

import math
from typing import Self

from pydantic import Field, field_validator, model_validator

from agentforge.data.config import FamiliesConfig
from agentforge.data.drills import DRILLS
from agentforge.data.quality import UNFILTERED, QualityConfig
from agentforge.data.tokens import BLOCK
from agentforge.kit.config import Unfit

TEXT, TOKENS = "text", "tokens"

_MANY = 1_000_000  # beyond, a number of tokens or rows is a slip: it would only exhaust memory or patience
_MOST_BROKEN = 10_000  # lines that travel with every checkpoint


class DataConfig(FamiliesConfig):
    """Of text and tokens, as of items, 80 % are trained on. 5 % (selection) are what validation sees, every so many
    steps, and 10 % (test) what is reported in the end, seen by nothing before: the splits are by hash."""

    length: int = Field(256, ge=8, le=_MANY, description="Most tokens in a row of a task.")
    mix: dict[str, float] = Field(
        {},
        description="Weights of sources: families, their drills (recall_drill, …), text, tokens. Text and tokens "
        "that are given and not named have 1. Empty: all families, and what is given, alike; no drills.",
    )
    text_length: int | None = Field(
        None, ge=8, le=BLOCK, description="Tokens in a row of text or of given tokens; null: as length."
    )
    text_field: str = Field("text", min_length=1, description="Where JSONL, Parquet and HDF5 hold the text.")
    token_field: str = Field("tokens", min_length=1, description="The HDF5 dataset that holds the tokens.")
    broken_lines: int = Field(
        0, ge=0, le=_MOST_BROKEN, description="JSONL lines that may be broken: left out, told, and kept aside."
    )
    allow_pickle: bool = Field(False, description="Read pickles of plain lists, texts, numbers and arrays.")
    quality: QualityConfig | None = Field(
        # Exact duplicates share their split. Finding near ones takes 2 KiB of memory for each document.
        QualityConfig(duplicates=None),
        description="What text is left out; null: nothing is. De-duplicating reads all again when resumed.",
    )
    open_shards: int = Field(16, ge=1, le=10_000, description="Token files open at a time.")
    held_out: int = Field(64, ge=1, le=_MANY, description="Rows of text, and of tokens, in a measurement.")

    @property
    def row(self) -> int:
        """Tokens in a row of text or of given tokens."""
        return self.text_length or min(self.length, BLOCK)

    @property
    def filter(self) -> QualityConfig:
        return self.quality or UNFILTERED

    def weights(self, given: set[str]) -> dict[str, float]:
        """Of each source above 0, where TEXT, TOKENS or both are given."""
        whole = dict.fromkeys(given, 1.0) | (self.mix or dict.fromkeys(self.families, 1.0))
        return {name: weight for name, weight in sorted(whole.items()) if weight}

    @field_validator("mix")
    @classmethod
    def _weights(cls, value: dict[str, float]) -> dict[str, float]:
        negative = next((name for name, weight in value.items() if weight < 0), None)
        if negative is not None:
            raise ValueError(f"{negative} has the weight {value[negative]}, below zero")
        if value and not any(value.values()):
            raise ValueError("at least one source needs a weight above zero")
        if not math.isfinite(sum(value.values())):
            raise ValueError("the sum of the weights is too large for a number")
        return value

    @model_validator(mode="after")
    def _known_sources(self) -> Self:
        for name in self.mix:
            needed = DRILLS[name].family if name in DRILLS else name
            if needed not in {*self.families, TEXT, TOKENS}:
                known = ", ".join([*sorted(self.families), *DRILLS, TEXT, TOKENS])
                what = f"{name} drills {needed}, which" if name in DRILLS else name
                step = f"Name it there with its difficulties. A mix is of: {known}."
                raise Unfit("mix", f"{what} is not among data.families", next_step=step)
        return self
