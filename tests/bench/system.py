"""A gateway with phase services, for measuring."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
from google.protobuf import struct_pb2

from agentforge.v1 import event_pb2, pipeline_pb2
from agentforge.v1.pipeline_pb2_grpc import PipelineServiceStub
from tests.harness import Service, gateway_service, phase_service


class System:
    def __init__(self, home: Path, phases: Sequence[str] = ("echo", "count"), **settings: str) -> None:
        """`settings`: of the gateway, AGENTFORGE_…"""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.home = home
        self.phases = {name: phase_service(name, home) for name in phases}
        targets = {name: service.target for name, service in self.phases.items()}
        self.gateway = gateway_service(home, targets, AGENTFORGE_LISTEN=f"127.0.0.1:{self.port}", **settings)
        self.everything: list[Service] = [*self.phases.values(), self.gateway]
        self._channel: grpc.Channel | None = None

    @property
    def stub(self) -> PipelineServiceStub:
        assert self._channel is not None
        return PipelineServiceStub(self._channel)

    def start(self) -> None:
        for service in self.everything:
            service.start()
        self._channel = grpc.insecure_channel(self.gateway.target)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
        for service in self.everything:
            service.close()

    def submit(self, until: str, *, reuse: bool = False, **config: dict[str, object]) -> str:
        """Start a pipeline from echo on; its run id."""
        spec = pipeline_pb2.PipelineSpec(until_phase=until, no_reuse=not reuse)
        for phase, values in config.items():
            spec.config[phase].CopyFrom(struct_pb2.Struct())
            spec.config[phase].update(values)
        run_id = f"bench-{uuid.uuid4().hex[:12]}"
        self.stub.StartPipeline(pipeline_pb2.StartPipelineRequest(run_id=run_id, spec=spec), timeout=60)
        return run_id

    def finish(self, run_id: str) -> list[event_pb2.Event]:
        """All events of the run, which must succeed."""
        request = pipeline_pb2.WatchPipelineRequest(run_id=run_id)
        events = [e for answer in self.stub.WatchPipeline(request, timeout=900) for e in answer.events]
        run = self.stub.GetPipeline(pipeline_pb2.GetPipelineRequest(run_id=run_id), timeout=60).pipeline
        assert run.state == event_pb2.RUN_STATE_SUCCEEDED, run
        return events


@contextlib.contextmanager
def system() -> Iterator[System]:
    with tempfile.TemporaryDirectory(prefix="af-bench-") as scratch:
        built = System(Path(scratch) / "home")
        try:
            built.start()
            yield built
        finally:
            built.close()
