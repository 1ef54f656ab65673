"""What Cognate takes. Free of torch: a service validates it."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from agentforge.data.drills import DRILLS
from agentforge.data.tasks import FAMILIES, check_difficulties, family
from agentforge.data.tasks.base import Family
from agentforge.data.tokenizer import SMALLEST_VOCABULARY
from agentforge.kit.config import StrictModel, TeamConfig, Unfit
from agentforge.kit.errors import InvalidInput
from agentforge.kit.phase import PhaseSpec, Slot
from agentforge.models.fields_titan import BadField, TitanFields
from agentforge.train.config import TrainConfig

TEXT = "text"
SPECIALISTS = ("reasoning", "memory_integration", "adaptive_computation")
_MANY = 1_000_000  # beyond, a number of tokens, steps or items is a slip: it would only exhaust memory or patience


def _family(name: str) -> Family:
    try:
        return family(name)
    except InvalidInput as error:
        raise ValueError(f"{error.message}. {error.next_step}") from None


class ModelConfig(StrictModel):
    """A named size of TitanConfig, with single fields replaced. null: as the size has it."""

    size: Literal["tiny", "small", "full", "50m", "100m", "1.5b"] = Field("full", description="TitanConfig.preset.")
    num_hidden_layers: int | None = Field(None, ge=1, le=1_000, description="Layers of one pass.")
    memory_layers: list[int] | None = Field(None, description="Layers with a memory.")
    sliding_window: int | None = Field(None, ge=2, le=_MANY, description="Tokens that a token sees.")
    persistent_tokens: int | None = Field(
        None, ge=0, le=1_000, description="Learned tokens that every token sees; 0: none."
    )
    rope_theta: float | None = Field(None, gt=1, description="Base of the rotary positions; small for short texts.")
    memory: bool = Field(True, description="Long-term memory.")
    memory_chunk: int | None = Field(
        None, ge=1, le=_MANY, description="Tokens after which what was written can be read."
    )
    act: bool = Field(True, description="Several steps with adaptive halting.")
    act_steps_train: int | None = Field(None, ge=1, le=1_000, description="Steps in training.")
    act_steps_infer: int | None = Field(None, ge=1, le=1_000, description="Steps when answering.")
    ponder_weight: float | None = Field(None, ge=0, description="Price in nats of one more step.")
    deep_supervision: float | None = Field(None, ge=0, description="Weight of the single steps' own losses.")
    recursion: bool = Field(True, description="Recursive reasoning over a latent and an answer.")
    recursion_cycles: int | None = Field(None, ge=1, le=1_000, description="TRM's T.")
    recursion_inner: int | None = Field(None, ge=1, le=1_000, description="TRM's n.")
    embedding_std: float = Field(0.02, gt=0, description="Spread of token embeddings at the start.")

    @property
    def fields(self) -> dict[str, Any]:
        """What replaces the size's own fields of TitanConfig."""
        return self.model_dump(exclude={"size", "embedding_std"}, exclude_none=True)

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        try:
            TitanFields.preset(self.size, **self.fields)
        except BadField as error:
            raise Unfit(error.field, str(error), reason="BAD_MODEL", next_step=error.next_step) from None
        return self

    @property
    def sight(self) -> int | None:
        """Tokens that can be seen; None where there is no limit."""
        shape = TitanFields.preset(self.size, **self.fields)
        return None if shape.memory else shape.sliding_window


class DataConfig(StrictModel):
    vocabulary: int = Field(32_000, ge=SMALLEST_VOCABULARY, le=_MANY, description="Tokens, special ones included.")
    corpus: Literal["docstrings", "source"] = Field(
        "source", description="Part of Python's standard library to read where no corpus is given as input."
    )
    every: int = Field(1, ge=1, description="Only each n-th module of the standard library.")
    text_length: int = Field(256, ge=8, le=_MANY, description="Tokens in a row of text.")
    task_length: int = Field(256, ge=8, le=_MANY, description="Most tokens in a row of a task.")
    task_texts: int = Field(1_500, ge=1, le=_MANY, description="Items of each family that the tokenizer sees.")
    difficulties: dict[str, list[int]] = Field({}, description="By family; others: those of the family's start.")

    @field_validator("difficulties")
    @classmethod
    def _known(cls, value: dict[str, list[int]]) -> dict[str, list[int]]:
        check_difficulties(value)
        if empty := next((name for name, chosen in value.items() if not chosen), None):
            raise ValueError(f"{empty} is given no difficulty: leave it out for those of its start")
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
        if not math.isfinite(sum(value.values())):
            raise ValueError("the sum of the weights is too large for a number")
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
    items: int = Field(250, ge=10, le=_MANY, description="Held-out items of each family.")
    texts: int = Field(20, ge=1, le=_MANY, description="Held-out documents for bits per byte.")
    text_bytes: int = Field(2_000, ge=100, le=_MANY, description="Characters read of each of them.")


class CognateConfig(TeamConfig):
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
        owner: dict[str, str] = {}
        for name, specialist in self.specialists.items():
            other = owner.setdefault(specialist.family, name)
            if other != name:
                message = f"{specialist.family} is the family of {other}, too: two specialists of the same family"
                raise Unfit(f"{name}.family", message, next_step="Give each its own.")
        self._check_reach()
        self._check_shares()
        return self

    def _check_reach(self) -> None:
        """Without a memory nothing beyond the window can be seen: longer rows would teach guessing."""
        sight = self.model.sight
        for name, length in (("text_length", self.data.text_length), ("task_length", self.data.task_length)):
            if sight is not None and length > sight:
                message = f"rows of {length:,} tokens, a window of {sight:,}, and no memory beyond it"
                step = f"Set it to {sight:,} or less, widen model.sliding_window, or switch model.memory on."
                raise Unfit(f"data.{name}", message, reason="SEQUENCE_TOO_LONG", next_step=step)

    def _check_shares(self) -> None:
        """Every process takes as many rows of a batch as any other."""
        for name, stage in {"trunk": self.trunk, **self.specialists}.items():
            if stage.train.batch % self.processes:
                message = f"{stage.train.batch:,} rows cannot be shared out evenly among {self.processes} processes"
                step = f"Set it to a multiple of {self.processes}, or change processes."
                raise Unfit(f"{name}.train.batch", message, reason="UNEVEN_BATCH", next_step=step)

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
    check="agentforge.phase1_cognate.admission:check",
    takes=(Slot("corpus", "corpus", 0, None, "Text to learn from, instead of Python's standard library."),),
    makes=(
        Slot("trunk", "trunk", description="What the three share; merging measures their changes from it."),
        Slot("models", "model", 3, 3, "reasoning, memory_integration and adaptive_computation."),
    ),
    evidence="agentforge.phase1_cognate.experiments:EXPERIMENTS",
    stands_on=("agentforge.models", "agentforge.data", "agentforge.train"),
)
