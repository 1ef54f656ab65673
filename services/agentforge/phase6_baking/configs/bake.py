"""What prompt baking takes. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from agentforge.kit.config import StrictModel


class BakeConfig(StrictModel):
    """Prompt baking (Bhargava et al. 2024)."""

    kind: Literal["forward", "reverse", "monte_carlo"] = Field(
        "forward",
        description="forward: KL(prompted || baked) over all words. reverse: KL(baked || prompted). monte_carlo: "
        "cross-entropy of the tokens that the prompted model said.",
    )
    strength: float = Field(
        1.0, gt=0, le=1, description="How far from the unprompted model to the prompted one, which is 1."
    )
    schedule: Literal["constant", "linear"] = Field(
        "constant", description="constant: the strength from the first step. linear: it rises to it, step by step."
    )
    teacher: Literal["start", "baked"] = Field(
        "start",
        description="Who, prompted, teaches from the second round on. start: who taught the first (re-baking). "
        "baked: what the round before made (prompt pursuit).",
    )
    samples: Literal["teacher", "student"] = Field(
        "teacher",
        description="Whose answers are learned on: those of the prompted teacher, or those that the student gives "
        "without the prompt when a round begins.",
    )
    temperature: float = Field(1.0, ge=0, le=100, description="Of those answers; 0: the likeliest token each time.")
    anchor: float = Field(
        1.0, ge=0, le=100, description="Off-task rows for each row of the prompt; the model stays itself on them."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind == "monte_carlo" and self.samples == "student":
            raise ValueError("monte_carlo learns the samples themselves, so they must be the teacher's")
        if self.kind == "monte_carlo" and (self.strength < 1 or self.schedule != "constant"):
            raise ValueError("half-baking needs whole distributions: take kind forward or reverse")
        return self
