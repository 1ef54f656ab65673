"""Event logs of runs that were, written without running them; and what W&B's offline files hold, read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentforge.kit.events import Entry, EventLog
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rundir import RunDirectory, RunRequest
from agentforge.track.source import Source
from agentforge.track.wandb_file import records

RUNNING, SUCCEEDED, FAILED = "RUN_STATE_RUNNING", "RUN_STATE_SUCCEEDED", "RUN_STATE_FAILED"
Event = tuple[str, str, Mapping[str, Any]]
"""Phase (empty: the pipeline), name of the payload, payload."""


def state(phase: str, now: str, **more: Any) -> Event:
    return phase, "state_changed", {"state": now, "reason": "", **more}


def measured(phase: str, name: str, value: float, step: int | None = None) -> Event:
    more = {} if step is None else {"step": step}
    return phase, "measurement", {"name": name, "value": value, "unit": "1", "method": "counted", "n": 3, **more}


def made(phase: str, name: str, digest: str = "ab" * 32, run_id: str = "r1") -> Event:
    path = f"runs/{run_id}/{phase}/output/{name}"
    return phase, "artifact_produced", {"artifact": ArtifactRef(name, "model", path, digest, 10).to_json()}


def two_phases(fitness: float = 0.9, run_id: str = "r1") -> list[Event]:
    """cognate and evomerge, as a pipeline's log has them."""
    return [
        state("", RUNNING),
        state("cognate", RUNNING),
        measured("cognate", "cognate/reasoning/loss", 2.5, step=10),
        measured("cognate", "cognate/reasoning/gradient_norm", 0.5, step=10),
        measured("cognate", "cognate/reasoning/gradient_norm", 1.5, step=20),
        measured("cognate", "cognate/reasoning/margin", 0.25),
        made("cognate", "reasoning", run_id=run_id),
        state("cognate", SUCCEEDED),
        state("evomerge", RUNNING),
        ("evomerge", "sample", {"name": "evomerge/generation", "data": {"best": [1, 2], "who": "a"}}),
        measured("evomerge", "evomerge/best_fitness", fitness, step=1),
        measured("evomerge", "evomerge/champion/fitness", fitness),
        made("evomerge", "champion", run_id=run_id),
        state("evomerge", SUCCEEDED),
        state("", SUCCEEDED),
    ]


def pipeline_run(home: Path, events: Sequence[Event], run_id: str = "r1") -> Source:
    """A pipeline run of cognate and evomerge whose log holds the events."""
    directory = RunDirectory(home, run_id, "pipeline")
    plan = [{"phase": phase, "config": {"seed": 7}} for phase in ("cognate", "evomerge")]
    directory.create(RunRequest(run_id, "pipeline", (), {"spec": {}, "plan": plan}, "", ""))
    add_events(directory.log_path, events)
    given = ArtifactRef("reasoning", "model", f"runs/{run_id}/cognate/output/reasoning", "ab" * 32, 10)
    own = RunDirectory(home, run_id, "evomerge")
    own.create(RunRequest(run_id, "evomerge", (given,), {}, "", ""))
    return Source(home, run_id)


def add_events(log: Path, events: Sequence[Event], attempt: int = 1) -> None:
    with EventLog(log, "") as writer:
        for phase, name, payload in events:
            writer.phase = phase
            writer.append_batch([Entry(name, payload, attempt)])


class OfflineRun:
    """One offline run, as `wandb sync` would read it."""

    def __init__(self, directory: Path) -> None:
        (file,) = directory.glob("*.wandb")
        self.id = file.name.removeprefix("run-").removesuffix(".wandb")
        self.rows: dict[int, dict[str, Any]] = {}
        self.summary: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        self.artifacts: dict[str, tuple[list[str], str]] = {}
        for record in records(file):
            self._take(record)

    def _take(self, record: Any) -> None:
        kind = record.WhichOneof("record_type")
        if kind == "history":
            row = self.rows.setdefault(record.history.step.num, {})
            row.update(_items(record.history.item))
        elif kind == "summary":
            self.summary.update(_items(record.summary.update))
        elif kind == "config":
            self.config.update(_items(record.config.update))
        elif kind == "run":
            self.group, self.job_type = record.run.run_group, record.run.job_type
            self.config.update(_items(record.run.config.update))
        elif kind == "artifact":
            (entry,) = record.artifact.manifest.contents
            self.artifacts[record.artifact.name] = (list(record.artifact.aliases), entry.ref)


def offline_runs(place: Path) -> dict[str, list[OfflineRun]]:
    """By the last part of their ids: "" is the parent."""
    found: dict[str, list[OfflineRun]] = {}
    for directory in sorted((place / "wandb" / "wandb").glob("offline-run-*")):
        run = OfflineRun(directory)
        found.setdefault(run.id.partition("~")[2], []).append(run)
    return found


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
