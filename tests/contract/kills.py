"""Kills at random instants, and the patience to finish a run in spite of them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from agentforge.client import PhaseClient
from agentforge.kit.events import read_events
from agentforge.kit.refs import ArtifactRef
from agentforge.v1 import event_pb2, phase_pb2
from tests.contract.examples import Example
from tests.harness import worker_pids

TIMED = "report"  # the kind of output that holds measured times: no two are alike


def outputs(run: phase_pb2.Run) -> dict[str, str]:
    assert run.state == event_pb2.RUN_STATE_SUCCEEDED, run
    return {output.name: output.sha256 for output in run.outputs if output.kind != TIMED}


def killing(
    kill: Callable[[], bool], times: int, seed: str, over: threading.Event
) -> tuple[threading.Thread, list[float]]:
    """A thread that calls `kill` at random instants until it has hit `times` times or nothing is left to hit."""
    chance = random.Random(seed)
    hits: list[float] = []

    def work() -> None:
        deadline = time.monotonic() + 240
        while len(hits) < times and time.monotonic() < deadline and not over.is_set():
            time.sleep(chance.uniform(0.0, 0.4 if hits else 0.04))  # the first in time for the shortest of runs
            if kill():
                hits.append(time.monotonic())

    return threading.Thread(target=work, daemon=True), hits


def works(home: Path) -> bool:
    """Whether the stormy run has told of anything but its states: before that there is nothing to lose."""
    logs = home.glob("runs/stormy/*/events.jsonl")
    return any("state_changed" not in record for log in logs for record in read_events(log)[0])


def kill_a_worker(home: Path) -> bool:
    for pid in worker_pids(home)[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def finish(client: PhaseClient, run_id: str, example: Example, inputs: Sequence[ArtifactRef]) -> phase_pb2.Run:
    """To the end, as a patient user would: a run that gave up after too many deaths is asked to go on."""
    for _ in range(20):
        client.start(run_id, example.config, inputs, preset=example.preset, retry=True)
        for _ in client.watch(run_id):
            pass
        run = client.get(run_id)
        if run.state == event_pb2.RUN_STATE_SUCCEEDED:
            return run
    raise AssertionError(run)
