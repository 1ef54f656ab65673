"""Which persona is baked, and how it is measured. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentforge.data.manner import TRAITS
from agentforge.kit.config import StrictModel

Guardrail = Literal["no_secrets", "known_tools", "no_forged_result", "no_forbidden_words", "length", "no_break"]

_TARGET = "Least score that the persona is baked for."


class HelpfulnessConfig(StrictModel):
    """Share of replies that a trained probe takes for helpful ones."""

    target: float = Field(0.9, ge=0, le=1, description=_TARGET)


class CreativityConfig(StrictModel):
    """Chance that two replies are put differently, what they answer aside."""

    target: float = Field(0.7, ge=0, le=1, description=_TARGET)


class PrecisionConfig(StrictModel):
    """Share of replies that keep the rules of exactness."""

    target: float = Field(0.8, ge=0, le=1, description=_TARGET)


class TraitsConfig(StrictModel):
    """Targets are least scores: more is no fault. A target of 0 leaves the trait out of the persona."""

    helpfulness: HelpfulnessConfig = HelpfulnessConfig()
    creativity: CreativityConfig = CreativityConfig()
    precision: PrecisionConfig = PrecisionConfig()

    @property
    def targets(self) -> dict[str, float]:
        return {name: getattr(self, name).target for name in TRAITS}

    @property
    def wanted(self) -> tuple[str, ...]:
        return tuple(name for name, target in self.targets.items() if target > 0)


class ProbeConfig(StrictModel):
    """A logistic regression over words and letters that tells helpful replies from others."""

    replies: int = Field(1_500, ge=100, le=100_000, description="Labelled replies that it learns from.")
    held_out: int = Field(1_000, ge=100, le=100_000, description="Labelled replies of phrases that it never saw.")
    least_accuracy: float = Field(
        0.85, ge=0.5, le=1, description="Held-out accuracy below which it refuses to score."
    )
    decay: float = Field(1e-3, gt=0, le=10, description="Weight of the squared weights in its loss.")
    steps: int = Field(100, ge=1, le=100_000, description="Steps of its gradient descent.")


class PlateauConfig(StrictModel):
    """When the alternation of tools and persona ends."""

    tolerance: float = Field(0.005, ge=0, le=1, description="A gain of no more than this is none.")
    patience: int = Field(2, ge=1, le=1_000, description="Rounds without a gain after which it ends.")


class GuardrailsConfig(StrictModel):
    """Rules that every reply is to keep; what is measured is the share of dialogues that keep each."""

    rules: tuple[Guardrail, ...] = Field(
        ("no_secrets", "known_tools", "no_forged_result", "no_forbidden_words", "length", "no_break"),
        description="Those that are checked.",
    )
    forbidden: tuple[str, ...] = Field(
        ("stupid", "dumb", "idiot", "hate", "shut up"), description="Words or phrases that no reply may hold."
    )
    longest: int = Field(24, ge=1, le=100_000, description="Most words of a reply, calls of tools aside.")
    target: float = Field(0.98, ge=0, le=1, description="Least share of dialogues that keeps each rule.")


class PersonaConfig(StrictModel):
    """The B-cycle: a persona with measured traits."""

    traits: TraitsConfig = TraitsConfig()
    coherence: float = Field(0.88, ge=0, le=1, description="Least persona_coherence.")
    guardrails: GuardrailsConfig = GuardrailsConfig()
    probe: ProbeConfig = ProbeConfig()
    plateau: PlateauConfig = PlateauConfig()
    prefix: str = Field("", max_length=10_000, description="The teacher's prefix; empty: named after the traits.")
    temperature: float = Field(
        1.0, ge=0, le=10, description="Of the replies that are scored: a greedy model says everything the same way."
    )
    resamples: int = Field(500, ge=50, le=100_000, description="Bootstrap resamples behind an interval.")
