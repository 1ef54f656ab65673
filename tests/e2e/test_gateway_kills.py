"""A pipeline through gateway, services and workers, each killed at random instants: the same bytes at the end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import struct_pb2

from agentforge.v1 import event_pb2, pipeline_pb2
from agentforge.v1.pipeline_pb2_grpc import PipelineServiceStub
from tests.harness import Service, gateway_service, phase_service, worker_pids
from tests.postgres import database_kind, database_url, postgres

__all__ = ["database_kind", "database_url", "postgres"]


class Cluster:
    """A gateway and two phase services on one volume."""

    def __init__(self, home: Path, database_url: str) -> None:
        self.home = home
        self.phases = {name: phase_service(name, home) for name in ("echo", "count")}
        targets = {name: service.target for name, service in self.phases.items()}
        self.gateway = gateway_service(home, targets, AGENTFORGE_DATABASE_URL=database_url)
        self.everything: list[Service] = [*self.phases.values(), self.gateway]

    def start(self) -> None:
        for service in self.everything:
            service.start()

    def close(self) -> None:
        for service in self.everything:
            service.close()
        for pid in worker_pids(self.home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @contextlib.contextmanager
    def stub(self) -> Iterator[PipelineServiceStub]:
        with grpc.insecure_channel(self.gateway.target) as channel:
            yield PipelineServiceStub(channel)


@pytest.fixture
def cluster(tmp_path: Path, database_url: str) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path / "home", database_url)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def spec(steps: int) -> pipeline_pb2.PipelineSpec:
    """So many steps of 50 ms."""
    echo, count = struct_pb2.Struct(), struct_pb2.Struct()
    echo.update({"text": "storm", "samples": 500})
    count.update({"n": steps, "every": 2, "step_s": 0.05})
    return pipeline_pb2.PipelineSpec(until_phase="count", config={"echo": echo, "count": count}, no_reuse=True)


def finish(cluster: Cluster, run_id: str) -> pipeline_pb2.Pipeline:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with cluster.stub() as stub:
            run = stub.GetPipeline(pipeline_pb2.GetPipelineRequest(run_id=run_id), timeout=30).pipeline
            if run.state == event_pb2.RUN_STATE_FAILED:  # a worker that died three times in a row without progress
                stub.ResumePipeline(pipeline_pb2.ResumePipelineRequest(run_id=run_id), timeout=30)
            if run.state == event_pb2.RUN_STATE_SUCCEEDED:
                return run
        time.sleep(0.05)
    raise AssertionError(f"not finished: {run}\n{cluster.gateway.log[-3000:]}")


def digests(run: pipeline_pb2.Pipeline) -> dict[str, list[str]]:
    return {phase.phase: [output.sha256 for output in phase.outputs] for phase in run.phases}


def storm(cluster: Cluster, kills: int, chance: random.Random) -> int:
    """How many rounds hit a run that was still going. Every second one kills a phase service as well."""
    done = cluster.home / "runs/stormy/count/DONE.json"
    hits = 0
    for number in range(kills):
        time.sleep(chance.uniform(0.0, 0.25))
        victims: list[Service] = [cluster.gateway, *chance.sample(cluster.everything, number % 2)]
        hits += not done.exists()
        for victim in dict.fromkeys(victims):
            victim.kill()
        for pid in worker_pids(cluster.home)[: number % 3 == 0]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for victim in dict.fromkeys(victims):
            victim.start()
    return hits


@pytest.mark.parametrize("kills", [3, pytest.param(16, marks=pytest.mark.slow)])
def test_killed_gateways_services_and_workers(cluster: Cluster, kills: int) -> None:
    wanted = spec(40 * kills)
    with cluster.stub() as stub:
        stub.StartPipeline(pipeline_pb2.StartPipelineRequest(run_id="calm", spec=wanted), timeout=30)
    calm = finish(cluster, "calm")
    with cluster.stub() as stub:
        stub.StartPipeline(pipeline_pb2.StartPipelineRequest(run_id="stormy", spec=wanted), timeout=30)
    assert storm(cluster, kills, random.Random("storm")) > kills // 2, "the run was over too soon: make it longer"
    assert digests(finish(cluster, "stormy")) == digests(calm)
    with cluster.stub() as stub:
        request = pipeline_pb2.WatchPipelineRequest(run_id="stormy")
        events = [event for answer in stub.WatchPipeline(request, timeout=60) for event in answer.events]
    logged = [event for event in events if event.sequence]
    assert [event.sequence for event in logged] == list(range(1, len(logged) + 1))
    for phase in ("echo", "count"):  # each line of a phase's own log was copied once, in order
        copied = [event.source_sequence for event in logged if event.phase == phase and event.source_sequence]
        assert copied == list(range(1, len(copied) + 1))


def test_an_equal_run_is_reused(cluster: Cluster) -> None:
    wanted = spec(10)
    wanted.no_reuse = False
    for run_id in ("first", "second"):
        with cluster.stub() as stub:
            stub.StartPipeline(pipeline_pb2.StartPipelineRequest(run_id=run_id, spec=wanted), timeout=30)
        run = finish(cluster, run_id)
    assert [phase.state for phase in run.phases] == [event_pb2.RUN_STATE_REUSED] * 2
    assert {phase.reused_from for phase in run.phases} == {"first"}
