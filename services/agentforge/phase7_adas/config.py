"""What adas takes. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from agentforge.data.config import FamiliesConfig
from agentforge.kit.config import StrictModel, TeamConfig, Unfit
from agentforge.kit.phase import PhaseSpec, Slot
from agentforge.phase7_adas.configs.driving import DriveConfig
from agentforge.phase7_adas.configs.export import ExportConfig, PackageConfig, ProfileConfig, known_device
from agentforge.phase7_adas.configs.search import SearchConfig
from agentforge.shrink.config import HealingConfig
from agentforge.train.config import TrainConfig

_MANY = 1_000_000


class DataConfig(FamiliesConfig):
    length: int = Field(256, ge=8, le=_MANY, description="Most tokens in a row.")


class EvaluationConfig(StrictModel):
    test_items: int = Field(250, ge=10, le=_MANY, description="Items of each family in the test split.")
    batch: int = Field(64, ge=1, le=_MANY, description="Items of one forward pass.")


class AdasConfig(TeamConfig):
    data: DataConfig = Field(DataConfig(), description="What is trained, calibrated and measured on.")
    search: SearchConfig | None = Field(
        SearchConfig(), description="The search for a smaller and faster model; null: the model stays as it is."
    )
    export: ExportConfig = Field(ExportConfig(), description="The files that are made of the model.")
    package: PackageConfig = Field(PackageConfig(), description="The package for the device.")
    profile: ProfileConfig = Field(ProfileConfig(), description="What is timed here and estimated for devices.")
    drive: DriveConfig | None = Field(
        None, description="The driving pipeline in its generated world, and its safety report; null: not driven."
    )
    device: str = Field("agx-xavier", description="Whom the package is for: its memory bounds the context.")
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="What is measured on held-out items.")

    @property
    def machine(self) -> TrainConfig:
        """Threads and determinism, of all that is not the search's own."""
        return self.search.final if self.search else HealingConfig()

    @field_validator("device")
    @classmethod
    def _known(cls, name: str) -> str:
        return known_device(name)

    @model_validator(mode="after")
    def _even(self) -> Self:
        rows = self.search.final.batch if self.search else 0
        if rows % self.processes:
            message = f"{rows:,} rows cannot be shared out evenly among {self.processes} processes"
            step = f"Set it to a multiple of {self.processes}, or change processes."
            raise Unfit("search.final.batch", message, reason="UNEVEN_BATCH", next_step=step)
        return self


PHASE = PhaseSpec(
    name="adas",
    summary="Searches a smaller model, and packs it for a Jetson: ONNX files, runtime, checks, measured speed.",
    config=AdasConfig,
    run="agentforge.phase7_adas.phase:run",
    check="agentforge.phase7_adas.admission:check",
    evidence="agentforge.phase7_adas.experiments:EXPERIMENTS",
    takes=(Slot("model", "model", description="A causal language model, ternary or plain."),),
    makes=(
        Slot("adas_model", "model", description="The model that was packed: searched, healed, or as it came."),
        Slot("adas_deployment_package", "package", description="adas_deployment_package.tar.gz."),
        Slot("adas_performance_profile", "report", description="What was measured, and what estimated."),
        Slot("adas_safety_report", "report", 0, description="With `drive`: what was shown of its safety."),
        Slot("driving_package", "package", 0, description="With `drive`: eyes.pyz, its camera and motion models."),
    ),
    stands_on=("agentforge.models", "agentforge.data", "agentforge.train", "agentforge.edge", "agentforge.shrink"),
)
