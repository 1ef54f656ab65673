"""One phase's events as one run at W&B."""

from __future__ import annotations

from typing import Any

from agentforge.kit.events import Record
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rundir import RunDirectory
from agentforge.track.best import deciding, is_best
from agentforge.track.loggers import PhaseLogger
from agentforge.track.names import artifact_name, seed_name
from agentforge.track.source import FINAL, Source

_MEASURED = ("name", "value", "unit", "method", "n", "spread", "step")
_SAMPLES = 1000  # rows of a table; W&B shows no more than some thousands
_NORM = "gradient_norm"


class Child:
    def __init__(self, source: Source, phase: str, logger: PhaseLogger) -> None:
        self.latest: dict[str, float] = {}
        self.state = ""
        self.attempt = 0
        self._source = source
        self._phase = phase
        self._logger = logger
        self._measured: list[list[Any]] = []
        self._samples: dict[str, list[dict[str, Any]]] = {}
        self._norms: dict[str, list[float]] = {}
        self._made: dict[str, ArtifactRef] = {}
        self._took = False

    def feed(self, record: Record) -> None:
        if not self._took:
            self._took = True
            self._use_inputs()
        if measured := record.get("measurement"):
            self._measure(measured, record["sequence"])
        elif sample := record.get("sample"):
            rows = self._samples.setdefault(sample["name"], [])
            rows.append({"sequence": record["sequence"], **sample.get("data", {})})
            del rows[:-_SAMPLES]
        elif produced := record.get("artifact_produced"):
            ref = ArtifactRef.from_json(produced["artifact"])
            self._made[ref.name] = ref
        elif change := record.get("state_changed"):
            self._change(change, record)

    def finish(self, *, failed: bool) -> None:
        self._logger.finish(failed=failed)

    def _measure(self, measured: dict[str, Any], sequence: int) -> None:
        name, value, step = measured["name"], measured["value"], measured.get("step")
        row = {name: value}
        if other := seed_name(name):
            row[other] = value
        self.latest.update(row)
        self._logger.log_metrics(row if step is None else {**row, f"{self._phase}/step": step}, step=sequence)
        if step is None:
            self._measured.append([measured.get(key) for key in _MEASURED])
        elif name.rsplit("/", 1)[-1] == _NORM:
            self._norms.setdefault(name, []).append(value)

    def _change(self, change: dict[str, Any], record: Record) -> None:
        self.state, self.attempt = change["state"].removeprefix("RUN_STATE_"), record["attempt"]
        if change["state"] not in FINAL:
            return
        self._tables(record["sequence"])
        summary = {"state": self.state, "attempt": self.attempt, "reason": change.get("reason", "")}
        if error := change.get("error"):
            summary["error"] = f"{error['reason']}: {error['message']}"
        self._logger.log_summary(summary)
        if self.state in ("SUCCEEDED", "REUSED"):
            for ref in self._made.values():
                self._artifact(ref)

    def _tables(self, step: int) -> None:
        """Measurements with their method and n, samples, and how the gradient norms of training were spread."""
        if self._measured:
            rows = [[None if cell is None else str(cell) for cell in row] for row in self._measured]
            self._logger.log_table(f"{self._phase}/measurements", _MEASURED, rows, step)
        for name, samples in self._samples.items():
            columns = sorted({key for sample in samples for key in sample})
            rows = [[_cell(sample.get(column)) for column in columns] for sample in samples]
            self._logger.log_table(f"{name}/samples", columns, rows, step)
        for name, norms in self._norms.items():
            self._logger.log_histogram(f"gradients/{name}", norms, step)

    def _artifact(self, ref: ArtifactRef) -> None:
        deciding_name = deciding(self._phase, ref.name)
        value = self.latest.get(deciding_name)
        aliases = ["latest"]
        metadata: dict[str, Any] = {"size_bytes": ref.size_bytes, "run_id": self._source.run_id}
        if value is not None:
            metadata[deciding_name] = value
            if ref.kind == "model" and is_best(
                self._source.home, self._phase, ref.name, value, self._source.run_id
            ):
                aliases.append("best")
        self._logger.log_artifact(
            artifact_name(self._phase, ref.name), ref.kind, ref.path, metadata, aliases, sha256=ref.sha256
        )

    def _use_inputs(self) -> None:
        """What the phase was given, as its own request says; one that was reused has none."""
        own = RunDirectory(self._source.home, self._source.run_id, self._phase)
        for ref in own.request().inputs if own.exists() else ():
            parts = ref.path.split("/")
            made_here = len(parts) == 5 and parts[0] == "runs" and parts[3] == "output"
            name = artifact_name(parts[2], parts[4]) if made_here else artifact_name("input", ref.name)
            self._logger.use_artifact(name, ref.kind, path=ref.path, sha256=ref.sha256)


def _cell(value: Any) -> str | None:
    """One type a column, whatever the sample holds."""
    import json

    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
