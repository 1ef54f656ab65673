"""The state of a run, found from its events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentforge.kit import clock
from agentforge.kit.reading import EventReader
from agentforge.kit.records import Record, error_to_proto, measurement_to_proto, to_struct
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rundir import RunRequest
from agentforge.v1 import event_pb2, phase_pb2

UNSPECIFIED = "RUN_STATE_UNSPECIFIED"
QUEUED = "RUN_STATE_QUEUED"
RUNNING = "RUN_STATE_RUNNING"
CANCELLING = "RUN_STATE_CANCELLING"
SUCCEEDED = "RUN_STATE_SUCCEEDED"
FAILED = "RUN_STATE_FAILED"
CANCELLED = "RUN_STATE_CANCELLED"
REUSED = "RUN_STATE_REUSED"
FINAL = frozenset({SUCCEEDED, FAILED, CANCELLED, REUSED})


@dataclass(slots=True)
class RunSummary:
    """What the events that were fed to it say, put together. Its size does not grow with the log."""

    state: str = QUEUED
    reason: str = ""
    attempt: int = 0
    last_sequence: int = 0
    create_time: str = ""
    update_time: str = ""
    outputs: dict[str, ArtifactRef] = field(default_factory=dict)
    measurements: dict[str, dict[str, Any]] = field(default_factory=dict)  # the last under each name
    error: dict[str, Any] | None = None
    progress: dict[str, Any] | None = None

    @classmethod
    def of_log(cls, path: Path) -> RunSummary:
        summary = cls()
        reader = EventReader(path)
        while records := reader.poll():
            summary.feed(records)
        return summary

    @property
    def final(self) -> bool:
        return self.state in FINAL

    def feed(self, records: Iterable[Record]) -> None:
        """Take further events of one phase's log, in order; those it has already are passed over."""
        for record in records:
            if record["sequence"] > self.last_sequence:
                self._take(record)

    def _take(self, record: Record) -> None:
        self.last_sequence = record["sequence"]
        self.update_time = record["time"]
        self.create_time = self.create_time or record["time"]
        self.attempt = max(self.attempt, record["attempt"])
        if "progress" in record:
            self.progress = record["progress"]
        elif "measurement" in record:
            self.measurements[record["measurement"]["name"]] = record["measurement"]
        elif "artifact_produced" in record:
            output = ArtifactRef.from_json(record["artifact_produced"]["artifact"])
            self.outputs[output.name] = output
        elif "state_changed" in record:
            change = record["state_changed"]
            self.state, self.reason = change["state"], change.get("reason", "")
            self.error = change.get("error")

    def to_proto(self, run_id: str, phase: str, request: RunRequest) -> phase_pb2.Run:
        run = phase_pb2.Run(
            run_id=run_id,
            phase=phase,
            state=event_pb2.RunState.Value(self.state),
            attempt=self.attempt,
            last_sequence=self.last_sequence,
            create_time=clock.to_timestamp(request.created),
            update_time=clock.to_timestamp(self.update_time or request.created),
            config=to_struct(request.config),
            inputs=[ref.to_proto() for ref in request.inputs],
            outputs=[ref.to_proto() for ref in self.outputs.values()],
            measurements=[measurement_to_proto(m) for m in self.measurements.values()],
            error=error_to_proto(self.error) if self.error else None,
        )
        if self.progress is not None:
            run.progress.CopyFrom(event_pb2.Progress(**self.progress))
        return run
