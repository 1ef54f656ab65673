"""What Cognate takes. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from agentforge.data.tasks import FAMILIES, family
from agentforge.data.tasks.base import Family
from agentforge.data.tokenizer import SMALLEST_VOCABULARY
from agentforge.kit.config import PhaseConfig, StrictModel
from agentforge.kit.errors import InvalidInput
from agentforge.kit.phase import PhaseSpec, Slot
from agentforge.train.config import TrainConfig

TEXT = "text"
DRILLS = ("recall_drill", "nested_drill")
SPECIALISTS = ("reasoning", "memory_integration", "adaptive_computation")


def _family(name: str) -> Family:
    try:
        return family(name)
    except InvalidInput as error:
        raise ValueError(f"{error.message}. {error.next_step}") from None


class ModelConfig(StrictModel):
    """A named size of TitanConfig, with single fields replaced. null: as the size has it."""

    size: Literal["tiny", "small", "full", "50m", "100m", "1.5b"] = Field("full", description="TitanConfig.preset.")
    num_hidden_layers: int | None = Field(None, ge=1, description="Layers of one pass.")
    memory_layers: list[int] | None = Field(None, description="Layers with a memory.")
    sliding_window: int | None = Field(None, ge=2, description="Tokens that a token sees.")
    persistent_tokens: int | None = Field(None, ge=0, description="Learned tokens that every token sees; 0: none.")
    rope_theta: float | None = Field(None, gt=1, description="Base of the rotary positions; small for short texts.")
    memory: bool = Field(True, description="Long-term memory.")
    memory_chunk: int | None = Field(None, ge=1, description="Tokens after which what was written can be read.")
    act: bool = Field(True, description="Several steps with adaptive halting.")
    act_steps_train: int | None = Field(None, ge=1, description="Steps in training.")
    act_steps_infer: int | None = Field(None, ge=1, description="Steps when answering.")
    ponder_weight: float | None = Field(None, ge=0, description="Price in nats of one more step.")
    deep_supervision: float | None = Field(None, ge=0, description="Weight of the single steps' own losses.")
    recursion: bool = Field(True, description="Recursive reasoning over a latent and an answer.")
    recursion_cycles: int | None = Field(None, ge=1, description="TRM's T.")
    recursion_inner: int | None = Field(None, ge=1, description="TRM's n.")
    embedding_std: float = Field(0.02, gt=0, description="Spread of token embeddings at the start.")


class DataConfig(StrictModel):
    vocabulary: int = Field(32_000, ge=SMALLEST_VOCABULARY, description="Tokens, special ones included.")
    corpus: Literal["docstrings", "source"] = Field(
        "source", description="Part of Python's standard library to read where no corpus is given as input."
    )
    every: int = Field(1, ge=1, description="Only each n-th module of the standard library.")
    text_length: int = Field(256, ge=8, description="Tokens in a row of text.")
    task_length: int = Field(256, ge=8, description="Most tokens in a row of a task.")
    task_texts: int = Field(1_500, ge=1, description="Items of each family that the tokenizer sees.")
    difficulties: dict[str, list[int]] = Field({}, description="By family; others: those of the family's start.")

    @field_validator("difficulties")
    @classmethod
    def _known(cls, value: dict[str, list[int]]) -> dict[str, list[int]]:
        for name, chosen in value.items():
            allowed = _family(name).difficulties
            wrong = [each for each in chosen if each not in allowed]
            if wrong or not chosen:
                raise ValueError(f"{name} has difficulties {allowed.start} to {allowed.stop - 1}, not {wrong}")
        return value

    def difficulty(self, name: str) -> tuple[int, ...]:
        return tuple(self.difficulties.get(name, FAMILIES[name].starter))


class StageConfig(StrictModel):
    train: TrainConfig = Field(TrainConfig(), description="How it is trained.")
    mix: dict[str, float] = Field(
        {"text": 0.5, "arithmetic": 1, "recall": 1, "nested": 1, "recall_drill": 1, "nested_drill": 1},
        description="Sources by weight: families of tasks, text, recall_drill, nested_drill.",
    )

    @field_validator("mix")
    @classmethod
    def _sources(cls, value: dict[str, float]) -> dict[str, float]:
        for name, weight in value.items():
            if name != TEXT and name not in DRILLS:
                _family(name)
            if weight < 0:
                raise ValueError(f"{name} has the weight {weight}, below zero")
        if not any(value.values()):
            raise ValueError("at least one source needs a weight above zero")
        return value


class SpecialistConfig(StageConfig):
    family: str = Field("arithmetic", description="The family of tasks it must be best at.")
    seed: int = Field(42, ge=0, lt=2**53, description="Root of this branch's randomness.")
    act_threshold: float = Field(
        0.95, gt=0, le=1, description="Sum of halting probabilities at which a token halts."
    )
    memory_slots: int = Field(2_048, ge=1, description="Capacity of its long-term memory.")

    @field_validator("family")
    @classmethod
    def _own(cls, value: str) -> str:
        return _family(value).name


class EvaluationConfig(StrictModel):
    items: int = Field(250, ge=10, description="Held-out items of each family.")
    texts: int = Field(20, ge=1, description="Held-out documents for bits per byte.")
    text_bytes: int = Field(2_000, ge=100, description="Characters read of each of them.")


class CognateConfig(PhaseConfig):
    model: ModelConfig = Field(ModelConfig(), description="The architecture, one for all.")
    data: DataConfig = Field(DataConfig(), description="Text, tokenizer and tasks.")
    init: Literal["shared", "independent"] = Field(
        "shared", description="Branches go on from the trunk; or each from its own start, with as much training."
    )
    trunk: StageConfig = Field(StageConfig(), description="What all three share.")
    reasoning: SpecialistConfig = Field(
        SpecialistConfig(family="arithmetic", seed=42, act_threshold=0.95, mix={"arithmetic": 1}),
        description="The specialist at exact answers.",
    )
    memory_integration: SpecialistConfig = Field(
        SpecialistConfig(family="recall", seed=1337, act_threshold=0.9, memory_slots=8_192, mix={"recall": 1}),
        description="The specialist at finding what was said before.",
    )
    adaptive_computation: SpecialistConfig = Field(
        SpecialistConfig(
            family="nested", seed=2023, act_threshold=0.99, memory_slots=4_096, mix={"nested": 1, "nested_drill": 1}
        ),
        description="The specialist at problems of varying depth.",
    )
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="What is measured on held-out data.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        families = [specialist.family for specialist in self.specialists.values()]
        if len(set(families)) < len(families):
            raise ValueError(f"two specialists have the same family: {families}")
        return self

    @property
    def specialists(self) -> dict[str, SpecialistConfig]:
        return {name: getattr(self, name) for name in SPECIALISTS}

    @property
    def families(self) -> tuple[str, ...]:
        """All families that are trained, in a fixed order."""
        stages = [self.trunk, *self.specialists.values()]
        found = {name for stage in stages for name in stage.mix if name in FAMILIES}
        return tuple(sorted(found | {specialist.family for specialist in self.specialists.values()}))


PHASE = PhaseSpec(
    name="cognate",
    summary="Makes three small models from nothing: a shared trunk, then a specialist each for "
    "reasoning, memory and adaptive computation.",
    config=CognateConfig,
    run="agentforge.phase1_cognate.phase:run",
    takes=(Slot("corpus", "corpus", 0, None, "Text to learn from, instead of Python's standard library."),),
    makes=(
        Slot("trunk", "trunk", description="What the three share; merging measures their changes from it."),
        Slot("models", "model", 3, 3, "reasoning, memory_integration and adaptive_computation."),
    ),
    stands_on=("agentforge.models", "agentforge.data", "agentforge.train"),
)
