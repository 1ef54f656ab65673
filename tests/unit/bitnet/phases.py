"""The real phase on pico models: in this process, with a real context and run directory, or by a worker."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentforge.kit.artifacts import describe
from agentforge.kit.config import resolved, validate_config
from agentforge.kit.context import PhaseContext, StopRequest
from agentforge.kit.errors import InvalidInput
from agentforge.kit.events import read_events
from agentforge.kit.inputs import Inputs
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rundir import RunDirectory, RunRequest
from agentforge.kit.state import RunSummary
from agentforge.phase4_bitnet.admission import check
from agentforge.phase4_bitnet.config import PHASE, BitNetConfig
from tests import pico

ENTRY = "agentforge.phase4_bitnet.config:PHASE"
FAMILIES = {"nested": [2], "recall": [2]}

Record = dict[str, Any]


class Killed(BaseException):
    """As sudden as SIGKILL: nothing of the phase catches it."""


def small(**changes: Any) -> Record:
    """A run of about a second. `changes` of a part leave the rest of it."""
    config: Record = {
        "calibration": {"samples": 100, "batch": 16, "sensitivity": 10},
        "data": {"families": FAMILIES, "length": 28},
        "train": {"steps": 4, "batch": 4, "lr": 1e-2, "warmup": 1, "checkpoint_every": 2, "threads": 1},
        "warmup": 0.5,
        "evaluation": {"items": 10, "test_items": 10, "batch": 16},
    }
    for name, value in changes.items():
        config[name] = {**config[name], **value} if isinstance(config.get(name), dict) else value
    return config


def make_models(home: Path) -> None:
    """Under home/mine: a Titan with its memory and halting, and a Llama."""
    fields: dict[str, Any] = {
        "memory": True,
        "memory_layers": [0],
        "memory_chunk": 8,
        "memory_slots": 32,
        "act": True,
    }
    pico.save(pico.with_noise(pico.titan(**fields), 1), home / "mine/titan")
    pico.save(pico.llama(), home / "mine/llama")


@dataclass
class Attempt:
    """One go at a run. `heard` is all that the phase said."""

    run: RunDirectory
    config: BitNetConfig
    ref: ArtifactRef
    attempt: int = 1
    stop: StopRequest = field(default_factory=StopRequest)
    heard: list[tuple[str, Record]] = field(default_factory=list)

    def context(self, fate: Callable[[str, Record], None] = lambda name, payload: None) -> PhaseContext:
        """`fate` hears every event first, and may end the run."""

        def append(name: str, payload: Mapping[str, Any], attempt: int) -> None:
            json.dumps(payload, allow_nan=False)  # as the event log does: it refuses NaN and infinity
            self.heard.append((name, dict(payload)))
            fate(name, dict(payload))

        inputs, seed, scratch = (
            Inputs.verified(self.run.home, PHASE.takes, [self.ref]),
            self.config.seed,
            self.run.scratch_path,
        )
        return PhaseContext(self.run, PHASE, seed, inputs, append, self.attempt, self.stop, {}, scratch)

    def go(self, fate: Callable[[str, Record], None] = lambda name, payload: None) -> Attempt:
        PHASE.load_run()(self.context(fate), self.config)
        return self

    def again(self) -> Attempt:
        """The next attempt at the same run, in a fresh context."""
        return Attempt(self.run, self.config, self.ref, self.attempt + 1)

    @property
    def output(self) -> Path:
        return self.run.output_path / "model"

    @property
    def files(self) -> dict[str, bytes]:
        return contents(self.output)

    def values(self, name: str) -> list[float]:
        return [said["value"] for kind, said in self.heard if kind == "measurement" and said["name"] == name]

    def names(self) -> set[str]:
        return {said["name"] for kind, said in self.heard if kind == "measurement"}

    def samples(self, name: str) -> list[Record]:
        return [said["data"] for kind, said in self.heard if kind == "sample" and said["name"] == name]

    def logs(self) -> str:
        return "\n".join(said["message"] for kind, said in self.heard if kind == "log")


def contents(directory: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in sorted(directory.iterdir())}


def given(home: Path, path: str) -> ArtifactRef:
    return describe(home, path, "model", "model")


def ask(home: Path, run_id: str, model: str = "titan", **changes: Any) -> Attempt:
    """Asked for as a service would, the check of the input included. `model`: under home/mine, or a path."""
    config = validate_config(BitNetConfig, small(**changes))
    ref = given(home, f"mine/{model}" if "/" not in model else model)
    violations = check(config, list(Inputs.verified(home, PHASE.takes, [ref]).many("model")))
    if violations:
        raise InvalidInput.of(violations)
    run = RunDirectory(home, run_id, PHASE.name)
    run.create(RunRequest(run_id, PHASE.name, (ref,), resolved(config), PHASE.code_digest, ENTRY))
    return Attempt(run, config, ref)


def start_worker(run: Attempt) -> subprocess.Popen[bytes]:
    with run.run.worker_log_path.open("ab") as log:
        command = [sys.executable, "-m", "agentforge.kit.worker", str(run.run.path)]
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def finish(run: Attempt, timeout_s: float = 120) -> RunSummary:
    start_worker(run).wait(timeout_s)
    summary = RunSummary.of_log(run.run.log_path)
    assert summary.state == "RUN_STATE_SUCCEEDED", run.run.worker_log_path.read_text()
    return summary


def until(run: Attempt, condition: Callable[[Record], bool], timeout_s: float = 60) -> None:
    """Wait for an event, as a watcher would."""
    deadline = time.monotonic() + timeout_s
    while not any(condition(record) for record in read_events(run.run.log_path)[0]):
        assert time.monotonic() < deadline, run.run.worker_log_path.read_text()
        time.sleep(0.01)
