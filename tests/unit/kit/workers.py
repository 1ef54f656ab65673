"""Real runs of the test phases, for tests of workers and supervisors."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.artifacts import import_tree
from agentforge.kit.config import resolved, validate_config
from agentforge.kit.diagnosis import log_tail
from agentforge.kit.events import read_events
from agentforge.kit.heartbeat import read_heartbeat
from agentforge.kit.launch import LocalLauncher
from agentforge.kit.phase import load_object
from agentforge.kit.processes import kill_group
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rundir import RunDirectory, RunRequest
from agentforge.kit.state import RunSummary
from agentforge.kit.supervise import RunSupervisor, SupervisorSettings
from tests.workers import start_worker

ROOT = Path(__file__).parents[3]
PATIENCE_S = 120.0


def reach_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers import tests.phases."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))


def end_workers(home: Path) -> None:
    """What a failed test left running."""
    for path in home.glob("runs/*/*/heartbeat.json"):
        beat = read_heartbeat(path)
        if beat is not None:
            kill_group(beat.worker)


def some_text(home: Path, text: str = "some text") -> ArtifactRef:
    source = home.parent / "given"
    source.mkdir(exist_ok=True)
    (source / "text.txt").write_text(text)
    return import_tree(home, source, "text", "text")


def asked(home: Path, phase: str, run_id: str = "r1", *inputs: ArtifactRef, **config: Any) -> RunDirectory:
    """A run as a service would make it, with no worker yet."""
    home.mkdir(exist_ok=True)
    entry = f"tests.phases.{phase}:SPEC"
    spec = load_object(entry)
    values = resolved(validate_config(spec.config, config))
    run = RunDirectory(home, run_id, phase)
    run.create(RunRequest(run_id, phase, inputs, values, spec.code_digest, entry))
    return run


def run_worker(run: RunDirectory) -> int:
    return start_worker(run).wait(PATIENCE_S)


def summary(run: RunDirectory) -> RunSummary:
    return RunSummary.of_log(run.log_path)


def states(run: RunDirectory) -> list[str]:
    """The states in the order in which the log tells them, without their prefix."""
    changes = [r["state_changed"]["state"] for r in read_events(run.log_path)[0] if "state_changed" in r]
    return [state.removeprefix("RUN_STATE_") for state in changes]


def child_of(run: RunDirectory) -> int | None:
    """Process number of the child that the stubborn mode of the fail phase made."""
    return next((int(r["sample"]["data"]["pid"]) for r in read_events(run.log_path)[0] if "sample" in r), None)


def error(run: RunDirectory) -> dict[str, Any]:
    found = summary(run).error
    assert found is not None, f"{states(run)}: {log_tail(run.worker_log_path)}"
    return found


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited too long until {what}"
        time.sleep(0.005)


async def a_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited too long until {what}"
        await asyncio.sleep(0.005)


def supervisor(**settings: Any) -> RunSupervisor:
    """Quick to lose its patience."""
    quick: dict[str, Any] = {"poll_s": 0.02, "backoff_s": 0.01, "grace_s": 20.0}
    return RunSupervisor(LocalLauncher(), SupervisorSettings(**quick | settings))


async def finish(*runs: RunDirectory, close_after_s: float = PATIENCE_S, **settings: Any) -> None:
    """Supervise the runs to their ends."""
    boss = supervisor(**settings)
    for run in runs:
        await boss.start(run)
    waits = [asyncio.ensure_future(boss.wait(run)) for run in runs]
    await asyncio.wait(waits, timeout=close_after_s)
    await boss.close()
    await asyncio.gather(*waits)
