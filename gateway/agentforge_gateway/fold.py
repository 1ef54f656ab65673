"""The state of a pipeline run, found from its event log. Fed live by the sequencer, and whole after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentforge.kit.events import EventReader, Record
from agentforge.kit.rundir import RunRequest
from agentforge_gateway.models import (
    Artifact,
    ErrorDetail,
    Measurement,
    PhaseRun,
    PipelineSpec,
    PlannedPhase,
    Progress,
    Run,
    State,
)

REUSED_FROM = "the same inputs, config and code as in run "
"""How the reason of a REUSED event begins; the run's id follows."""


class Fold:
    """A run, and for each phase the last line of its own log that was copied into the pipeline's."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.copied = {phase.phase: 0 for phase in run.phases}
        self.attempt = 0  # of the pipeline itself: how often a gateway began or went on with it

    def feed(self, records: Sequence[Record]) -> None:
        for record in records:
            if record["phase"] in self.copied:
                self._phase(self.run.phase(record["phase"]), record)
            elif "state_changed" in record:
                self._pipeline(record)
        if records:
            self.run.last_sequence = records[-1]["sequence"]
            self.run.update_time = records[-1]["time"]

    def _pipeline(self, record: Record) -> None:
        change = record["state_changed"]
        self.run.state = State(change["state"])
        self.run.error = _error(change)
        self.attempt = max(self.attempt, record["attempt"])

    def _phase(self, phase: PhaseRun, record: Record) -> None:
        self.copied[phase.phase] = record.get("source_sequence", 0) or self.copied[phase.phase]
        if "state_changed" in record:
            self._phase_state(phase, record)
        elif "progress" in record:
            phase.progress = Progress(**record["progress"])
        elif "measurement" in record:
            measurement = Measurement(**record["measurement"])
            phase.measurements = [m for m in phase.measurements if m.name != measurement.name] + [measurement]
        elif "artifact_produced" in record:
            artifact = Artifact(**record["artifact_produced"]["artifact"])
            phase.outputs = [a for a in phase.outputs if a.name != artifact.name] + [artifact]

    def _phase_state(self, phase: PhaseRun, record: Record) -> None:
        change = record["state_changed"]
        phase.state = State(change["state"])
        phase.attempt = record["attempt"]
        phase.error = _error(change)
        phase.start_time = phase.start_time or record["time"]
        phase.end_time = record["time"] if phase.state.final else None
        if phase.state is State.REUSED:
            phase.reused_from = change["reason"].removeprefix(REUSED_FROM)


def new_run(request: RunRequest) -> Run:
    """The run as it was asked for, before anything was done. The request holds the spec and the plan."""
    plan = [PlannedPhase.model_validate(phase) for phase in request.config["plan"]]
    return Run(
        run_id=request.run_id,
        state=State.QUEUED,
        spec=PipelineSpec.model_validate(request.config["spec"]),
        plan=plan,
        phases=[PhaseRun(phase=planned.phase) for planned in plan],
        create_time=request.created,
        update_time=request.created,
    )


def read_run(request: RunRequest, log: Path) -> Fold:
    """The run as its log tells it."""
    fold = Fold(new_run(request))
    reader = EventReader(log)
    while records := reader.poll():
        fold.feed(records)
    return fold


def _error(change: dict[str, Any]) -> ErrorDetail | None:
    return ErrorDetail(**change["error"]) if change.get("error") else None
