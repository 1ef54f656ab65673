"""Killed at random instants, worker or service, a run goes on and ends with the same bytes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from agentforge.client import PhaseClient
from agentforge.kit.phase import PhaseSpec
from agentforge.v1 import event_pb2, phase_pb2
from tests.contract.examples import Example, inputs_for
from tests.harness import phase_service, running, worker_pids


def outputs(run: phase_pb2.Run) -> dict[str, str]:
    assert run.state == event_pb2.RUN_STATE_SUCCEEDED, run
    return {output.name: output.sha256 for output in run.outputs}


def killing(
    kill: Callable[[], bool], times: int, seed: str, over: threading.Event
) -> tuple[threading.Thread, list[float]]:
    """A thread that calls `kill` at random instants until it has hit `times` times or nothing is left to hit."""
    chance = random.Random(seed)
    hits: list[float] = []

    def work() -> None:
        deadline = time.monotonic() + 60
        while len(hits) < times and time.monotonic() < deadline and not over.is_set():
            time.sleep(chance.uniform(0.0, 0.5))
            if kill():
                hits.append(time.monotonic())

    return threading.Thread(target=work, daemon=True), hits


def kill_a_worker(home: Path) -> bool:
    for pid in worker_pids(home)[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def gone(home: Path, timeout_s: float = 10) -> bool:
    """Whether all workers end, now that their runs have."""
    deadline = time.monotonic() + timeout_s
    while worker_pids(home) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not worker_pids(home)


def finish(client: PhaseClient, run_id: str, example: Example, inputs: list[object]) -> phase_pb2.Run:
    """To the end, as a patient user would: a run that gave up after too many deaths is asked to go on."""
    for _ in range(20):
        client.start(run_id, example.config, inputs, preset=example.preset, retry=True)  # type: ignore[arg-type]
        for _ in client.watch(run_id):
            pass
        run = client.get(run_id)
        if run.state == event_pb2.RUN_STATE_SUCCEEDED:
            return run
    raise AssertionError(run)


def test_killed_workers(spec: PhaseSpec, tmp_path: Path, example: Example, pipeline: str) -> None:
    home = tmp_path / "home"
    with running(phase_service(spec.name, home, pipeline)) as client:
        inputs: list[object] = [*inputs_for(spec, home)]
        calm = outputs(finish(client, "calm", example, inputs))
        over = threading.Event()
        thread, hits = killing(lambda: kill_a_worker(home), example.kills, spec.name, over)
        client.start("stormy", example.config, inputs, preset=example.preset)  # type: ignore[arg-type]
        thread.start()
        assert outputs(finish(client, "stormy", example, inputs)) == calm
        over.set()
        thread.join()
        sequences = [r["sequence"] for r in client.watch("stormy") if r["sequence"]]
    assert sequences == list(range(1, len(sequences) + 1))
    assert hits, "the run was over before anything was killed: make the example longer"


def test_killed_services(spec: PhaseSpec, tmp_path: Path, example: Example, pipeline: str) -> None:
    home = tmp_path / "home"
    service = phase_service(spec.name, home, pipeline)
    chance = random.Random(spec.name)
    with running(service) as client:
        inputs: list[object] = [*inputs_for(spec, home)]
        calm = outputs(finish(client, "calm", example, inputs))
        client.start("stormy", example.config, inputs, preset=example.preset)  # type: ignore[arg-type]
        for _ in range(example.kills // 2):
            time.sleep(chance.uniform(0.0, 0.3))
            service.kill()
            if chance.random() < 0.5:
                kill_a_worker(home)
            service.start()
        with PhaseClient(service.target) as fresh:
            assert outputs(finish(fresh, "stormy", example, inputs)) == calm
        assert gone(home), "a worker outlived its run"
