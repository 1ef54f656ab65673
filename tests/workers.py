"""Real worker processes for runs of any phase: started as a service starts them, and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from agentforge.kit.events import read_events
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.state import RunSummary

Told = Callable[[dict[str, Any]], bool]
"""Whether a record of the event log is the one that is waited for."""


def start_worker(run: RunDirectory) -> subprocess.Popen[bytes]:
    with run.worker_log_path.open("ab") as log:
        command = [sys.executable, "-m", "agentforge.kit.worker", str(run.path)]
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def finish(run: RunDirectory, timeout_s: float = 180) -> RunSummary:
    """To its end, whatever that is."""
    start_worker(run).wait(timeout_s)
    return RunSummary.of_log(run.log_path)


def succeed(run: RunDirectory) -> RunSummary:
    summary = finish(run)
    assert summary.state == "RUN_STATE_SUCCEEDED", run.worker_log_path.read_text()
    return summary


def until(run: RunDirectory, told: Told, timeout_s: float = 120) -> None:
    """Wait for an event, as a watcher would."""
    deadline = time.monotonic() + timeout_s
    while not any(told(record) for record in read_events(run.log_path)[0]):
        assert time.monotonic() < deadline, run.worker_log_path.read_text()
        time.sleep(0.01)


def works_at(message: str) -> Told:
    return lambda record: record.get("progress", {}).get("message") == message


def kill_when(run: RunDirectory, told: Told, timeout_s: float = 120) -> None:
    """A worker takes the run up, and ends by SIGKILL when this is in the log."""
    worker = start_worker(run)
    until(run, told, timeout_s)
    os.kill(worker.pid, signal.SIGKILL)
    assert worker.wait(30) == -signal.SIGKILL, "it was over before"
