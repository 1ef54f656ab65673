"""What the gateway keeps and shows: one set of models for the database, for REST and (by name) for gRPC."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue


class State(StrEnum):
    """The names of agentforge.v1.RunState."""

    QUEUED = "RUN_STATE_QUEUED"
    RUNNING = "RUN_STATE_RUNNING"
    CANCELLING = "RUN_STATE_CANCELLING"
    SUCCEEDED = "RUN_STATE_SUCCEEDED"
    FAILED = "RUN_STATE_FAILED"
    CANCELLED = "RUN_STATE_CANCELLED"
    REUSED = "RUN_STATE_REUSED"

    @property
    def final(self) -> bool:
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.REUSED)


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _fit_for_protobuf(values: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """A google.protobuf.Struct holds doubles and UTF-8: what does not survive that is refused, not bent."""
    _check_value(values, "")
    return values


def _check_value(value: Any, path: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check_value(key, path)
            _check_value(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check_value(item, f"{path}[{i}]")
    elif isinstance(value, int) and abs(value) > 2**53:
        raise ValueError(f"{path}: integers beyond 2^53 do not survive the way to the phase")
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{path}: a text holds half a character (a lone surrogate)") from None


ConfigValues = Annotated[dict[str, JsonValue], AfterValidator(_fit_for_protobuf)]
Short = Annotated[str, Field(max_length=256)]


RUN_ID = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$"
GivenRunId = Annotated[
    Annotated[str, Field(pattern=RUN_ID)] | None,
    Field(description="Letters, digits, '.', '_' and '-', at most 64; one is made when it is left out."),
]


class Artifact(Model):
    """A file or a directory on the shared volume, named by what is in it."""

    name: Short
    kind: Short
    path: Annotated[str, Field(max_length=4096, description="Relative to the volume, with forward slashes.")]
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$", description="Empty: it is computed.")] = ""
    size_bytes: Annotated[int, Field(ge=0, lt=2**63)] = 0


class Slot(Model):
    name: str
    kind: str
    min_count: int = 0
    max_count: Annotated[int, Field(description="0: no upper bound.")] = 0
    description: str = ""


class PipelineSpec(Model):
    """What is asked of the pipeline."""

    preset: Short = ""
    config: Annotated[
        dict[str, ConfigValues], Field(description="Phase name to the fields that differ from the preset.")
    ] = {}
    from_phase: Annotated[Short, Field(description="First phase; empty: the pipeline's first.")] = ""
    until_phase: Annotated[Short, Field(description="Last phase; empty: the pipeline's last.")] = ""
    inputs: Annotated[list[Artifact], Field(max_length=1000, description="Inputs of the first phase.")] = []
    no_reuse: Annotated[bool, Field(description="Run every phase even where an output could be reused.")] = False


class StartRequest(PipelineSpec):
    run_id: GivenRunId = None


class PlannedPhase(Model):
    phase: str
    target: str = ""
    config: dict[str, Any] = {}
    config_digest: str = ""
    takes: list[Slot] = []
    makes: list[Slot] = []


class ErrorDetail(Model):
    reason: str
    message: str
    field: str = ""
    next_step: str = ""


class Measurement(Model):
    name: str
    value: float
    unit: str
    method: str
    n: int
    spread: float | None = None
    step: int | None = None


class Progress(Model):
    done: int = 0
    total: int = 0
    unit: str = ""
    message: str = ""


class PhaseRun(Model):
    """One phase inside a pipeline run."""

    phase: str
    state: State | None = None
    attempt: int = 0
    outputs: list[Artifact] = []
    measurements: list[Measurement] = []
    error: ErrorDetail | None = None
    progress: Progress | None = None
    reused_from: str = ""
    start_time: str | None = None
    end_time: str | None = None


class Run(Model):
    """A pipeline run, as agentforge.v1.Pipeline."""

    run_id: str
    state: State
    spec: PipelineSpec
    plan: list[PlannedPhase]
    phases: list[PhaseRun]
    error: ErrorDetail | None = None
    create_time: str
    update_time: str
    last_sequence: int = 0

    def phase(self, name: str) -> PhaseRun:
        for phase in self.phases:
            if phase.phase == name:
                return phase
        raise KeyError(name)


class Plan(Model):
    plan: list[PlannedPhase]
    violations: list[ErrorDetail]


class Description(Model):
    name: str
    summary: str
    version: str
    code_digest: str
    takes: list[Slot]
    makes: list[Slot]
    config_schema: dict[str, Any] = {}
    config_defaults: dict[str, Any] = {}
    presets: dict[str, dict[str, Any]]


class Status(Model):
    phase: str
    target: str
    description: Description | None = None
    error: ErrorDetail | None = None


class Statuses(Model):
    phases: list[Status]


class StartPhase(Model):
    run_id: GivenRunId = None
    preset: Short = ""
    config: ConfigValues = {}
    inputs: Annotated[list[Artifact], Field(max_length=1000)] = []
    retry: Annotated[
        bool, Field(description="Start a failed or cancelled run again, from its last checkpoint.")
    ] = False


class PhaseRunAlone(Model):
    """agentforge.v1.Run."""

    run_id: str
    phase: str
    state: State
    attempt: int
    last_sequence: int
    create_time: str | None = None
    update_time: str | None = None
    config: dict[str, Any] = {}
    inputs: list[Artifact] = []
    outputs: list[Artifact] = []
    measurements: list[Measurement] = []
    error: ErrorDetail | None = None
    progress: Progress | None = None


class PhaseRunPage(Model):
    runs: list[PhaseRunAlone]
    next_page_token: str = ""
