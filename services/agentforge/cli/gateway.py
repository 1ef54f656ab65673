"""A small blocking client of the gateway's PipelineService."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from agentforge.client import ClientTls, explained, forge_error
from agentforge.kit.errors import ForgeError, ResourceExhausted, Unavailable
from agentforge.kit.records import Record, from_proto
from agentforge.v1 import pipeline_pb2
from agentforge.v1.pipeline_pb2_grpc import PipelineServiceStub

_CALL_S = 60.0
_START_S = 600.0  # planning and starting may hash inputs of gigabytes
_AWAY_S = 30.0  # how long a gateway may be away while it is watched
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.max_receive_message_length", 64 << 20),
)

R = TypeVar("R")


class PipelineClient:
    def __init__(self, target: str, token: str = "", tls: ClientTls | None = None) -> None:
        self.target = target
        self._tls = tls
        self._channel = (
            grpc.secure_channel(target, tls.credentials(), options=(*_OPTIONS, *tls.options))
            if tls
            else grpc.insecure_channel(target, options=_OPTIONS)
        )
        self._stub = PipelineServiceStub(self._channel)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        if trace := os.environ.get("TRACEPARENT"):  # of the program that called this one
            self._metadata = (*self._metadata, ("traceparent", trace))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def phases(self) -> Sequence[pipeline_pb2.PhaseStatus]:
        return self._call(self._stub.ListPhases, pipeline_pb2.ListPhasesRequest()).phases

    def plan(self, spec: pipeline_pb2.PipelineSpec) -> pipeline_pb2.PlanPipelineResponse:
        return self._call(self._stub.PlanPipeline, pipeline_pb2.PlanPipelineRequest(spec=spec), _START_S)

    def start(self, run_id: str, spec: pipeline_pb2.PipelineSpec) -> pipeline_pb2.Pipeline:
        request = pipeline_pb2.StartPipelineRequest(run_id=run_id, spec=spec)
        return self._call(self._stub.StartPipeline, request, _START_S).pipeline

    def get(self, run_id: str) -> pipeline_pb2.Pipeline:
        return self._call(self._stub.GetPipeline, pipeline_pb2.GetPipelineRequest(run_id=run_id)).pipeline

    def list(self, limit: int) -> Sequence[pipeline_pb2.Pipeline]:
        request = pipeline_pb2.ListPipelinesRequest(page_size=limit)
        return self._call(self._stub.ListPipelines, request).pipelines

    def cancel(self, run_id: str, reason: str) -> pipeline_pb2.Pipeline:
        request = pipeline_pb2.CancelPipelineRequest(run_id=run_id, reason=reason)
        return self._call(self._stub.CancelPipeline, request).pipeline

    def resume(self, run_id: str) -> pipeline_pb2.Pipeline:
        request = pipeline_pb2.ResumePipelineRequest(run_id=run_id)
        return self._call(self._stub.ResumePipeline, request, _START_S).pipeline

    def watch(self, run_id: str, after: int = 0) -> Iterator[Record]:
        """Each event once, in order, until the run is final; a gateway that was away for a while is waited for."""
        last, deadline = after, time.monotonic() + _AWAY_S
        first = True
        while True:
            try:
                for record in self._stream(run_id, last):
                    first, deadline = False, time.monotonic() + _AWAY_S
                    if record["sequence"] > last:
                        last = record["sequence"]
                        yield record
                return
            except (Unavailable, ResourceExhausted):
                if first or time.monotonic() > deadline:
                    raise
                time.sleep(0.3)

    def _stream(self, run_id: str, after: int) -> Iterator[Record]:
        request = pipeline_pb2.WatchPipelineRequest(run_id=run_id, after_sequence=after)
        call = self._stub.WatchPipeline(request, metadata=self._metadata)
        try:
            for response in call:
                yield from (from_proto(event) for event in response.events)
        except grpc.RpcError as error:
            raise self._translated(error) from None
        finally:
            call.cancel()

    @property
    def channel(self) -> grpc.Channel:
        """For the gateway's other services; `call` sends their requests."""
        return self._channel

    def call(self, method: Callable[..., R], request: Any) -> R:
        """A call that may hash gigabytes."""
        return self._call(method, request, _START_S)

    def _call(self, method: Callable[..., R], request: Any, timeout: float = _CALL_S) -> R:
        try:
            return method(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._translated(error) from None

    def _translated(self, error: grpc.RpcError) -> ForgeError:
        ours = explained(forge_error(error), self.target, self._tls)
        if not isinstance(ours, Unavailable) or ours.reason != Unavailable.default_reason:
            return ours
        return Unavailable(
            f"the gateway at {self.target} cannot be reached: {ours.message}",
            reason="GATEWAY_UNREACHABLE",
            field=self.target,
            next_step="Start it (`agentforge serve gateway --listen HOST:PORT`), or correct --gateway.",
        )
