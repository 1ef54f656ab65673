"""What compression takes. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from agentforge.data.config import FamiliesConfig
from agentforge.kit.config import StrictModel, TeamConfig, Unfit
from agentforge.kit.phase import PhaseSpec, Slot
from agentforge.phase8_compression.configs.distilling import DistillationConfig
from agentforge.phase8_compression.configs.formats import FormatsConfig
from agentforge.phase8_compression.configs.search import SearchConfig, TargetConfig
from agentforge.phase8_compression.configs.space import SpaceConfig, Strategy
from agentforge.shrink.config import FinalConfig, HealingConfig

_MANY = 1_000_000


class DataConfig(FamiliesConfig):
    length: int = Field(256, ge=8, le=_MANY, description="Most tokens in a row.")


class PruningConfig(StrictModel):
    way: Literal["magnitude", "wanda", "gradient", "sparsegpt"] = Field(
        "wanda", description="Which weights go first; sparsegpt also mends those that stay."
    )


class EvaluationConfig(StrictModel):
    test_items: int = Field(250, ge=10, le=_MANY, description="Items of each family in the test split.")
    batch: int = Field(256, ge=1, le=_MANY, description="Items of one forward pass.")
    steps: int = Field(64, ge=5, le=_MANY, description="Timed decode steps of each runtime.")


class CompressionConfig(TeamConfig):
    data: DataConfig = Field(DataConfig(), description="What is trained, calibrated and measured on.")
    strategy: Strategy = Field(
        "hybrid",
        description="Which parts of space are searched: all (hybrid), codecs alone (quantisation), cuts and zeros "
        "alone (pruning), students (distillation), zeros step by step (progressive), or the seeds' order.",
    )
    space: SpaceConfig = Field(SpaceConfig(), description="What a candidate may be.")
    pruning: PruningConfig = Field(PruningConfig(), description="How zeros are chosen.")
    distillation: DistillationConfig = Field(
        DistillationConfig(), description="What students and what is healed learn."
    )
    search: SearchConfig = Field(SearchConfig(), description="How candidates are looked for.")
    target: TargetConfig = Field(TargetConfig(), description="Which of them is chosen.")
    healing: HealingConfig | None = Field(
        HealingConfig(), description="Training of every candidate whose weights were cut; null: none."
    )
    final: FinalConfig | None = Field(
        FinalConfig(), description="Training of the chosen one, through the rounding of its codecs; null: none."
    )
    formats: FormatsConfig = Field(FormatsConfig(), description="The files that are made of the chosen one.")
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="What is measured on held-out items.")

    @property
    def machine(self) -> HealingConfig:
        """Threads and determinism, of all that is not a training's own."""
        return self.final or self.healing or HealingConfig()

    @model_validator(mode="after")
    def _even(self) -> Self:
        if self.final is not None and self.final.batch % self.processes:
            message = f"{self.final.batch:,} rows cannot be shared out evenly among {self.processes} processes"
            step = f"Set it to a multiple of {self.processes}, or change processes."
            raise Unfit("final.batch", message, reason="UNEVEN_BATCH", next_step=step)
        return self

    @model_validator(mode="after")
    def _students(self) -> Self:
        if self.strategy == "distillation" and not self.distillation.students:
            message = "the strategy distillation chooses among students, and none is described"
            step = 'Describe one, as in {"small": {"layers": 2, "hidden": 64, "heads": 2, "intermediate": 128}}.'
            raise Unfit("distillation.students", message, reason="NO_STUDENT", next_step=step)
        return self


PHASE = PhaseSpec(
    name="compression",
    summary="Finds the smallest model that still answers right, and makes its final files, each read back and run.",
    config=CompressionConfig,
    run="agentforge.phase8_compression.phase:run",
    check="agentforge.phase8_compression.admission:check",
    evidence="agentforge.phase8_compression.experiments:EXPERIMENTS",
    takes=(
        Slot("model", "model", description="A causal language model, ternary or plain."),
        Slot("package", "package", 0, 1, description="adas_deployment_package of the same model, to be handed on."),
    ),
    makes=(
        Slot("final_model", "model", description="The chosen model: model.forge, with config and tokenizer."),
        Slot("final_artifacts", "files", description="The same model in every other format, with artifacts.json."),
        Slot("compression_report", "report", description="compression_report.json and pareto_front.json."),
    ),
    stands_on=(
        "agentforge.models", "agentforge.data", "agentforge.train", "agentforge.edge", "agentforge.codecs",
        "agentforge.shrink",
    ),
)  # fmt: skip
