"""Runs of EvoMerge by real worker processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from agentforge.kit.events import read_events
from agentforge.kit.state import RunSummary
from tests.unit.evomerge.phases import Attempt


def start(run: Attempt) -> subprocess.Popen[bytes]:
    with run.run.worker_log_path.open("ab") as log:
        command = [sys.executable, "-m", "agentforge.kit.worker", str(run.run.path)]
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def finish(run: Attempt, timeout_s: float = 180) -> RunSummary:
    start(run).wait(timeout_s)
    summary = RunSummary.of_log(run.run.log_path)
    assert summary.state == "RUN_STATE_SUCCEEDED", run.run.worker_log_path.read_text()
    return summary


def until(run: Attempt, condition: Callable[[dict[str, Any]], bool], timeout_s: float = 120) -> None:
    """Wait for an event, as a watcher would."""
    deadline = time.monotonic() + timeout_s
    while not any(condition(record) for record in read_events(run.run.log_path)[0]):
        assert time.monotonic() < deadline, run.run.worker_log_path.read_text()
        time.sleep(0.02)


def has_done(generation: int) -> Callable[[dict[str, Any]], bool]:
    def told(record: dict[str, Any]) -> bool:
        return bool(record.get("sample", {}).get("data", {}).get("generation", -1) >= generation)

    return told
