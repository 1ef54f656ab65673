"""The gRPC face: PipelineService, with the semantics of REST and the error model of the phases."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from agentforge.kit.errors import InvalidInput
from agentforge.kit.serve.interceptor import Gate
from agentforge.v1 import event_pb2, pipeline_pb2, pipeline_pb2_grpc, registry_pb2_grpc
from agentforge_gateway import phases
from agentforge_gateway.access.rpcs import admission
from agentforge_gateway.models import State
from agentforge_gateway.parts import Parts
from agentforge_gateway.protojson import planned_to_proto, run_to_proto, spec_from_proto
from agentforge_gateway.registry import servicer as registry
from agentforge_gateway.settings import split_address
from agentforge_gateway.streams import MAX_SEQUENCE
from agentforge_gateway.tail import CaughtUp, Chunk

SERVICE = pipeline_pb2.DESCRIPTOR.services_by_name["PipelineService"].full_name
_SERVICES = (SERVICE, registry.SERVICE)
Context = grpc.aio.ServicerContext[Any, Any]


class PipelineServicer(pipeline_pb2_grpc.PipelineServiceServicer):
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._runs = parts.runs

    async def ListPhases(self, request: Any, context: Context) -> pipeline_pb2.ListPhasesResponse:
        return pipeline_pb2.ListPhasesResponse(phases=await phases.statuses(self._parts.links))

    async def PlanPipeline(
        self, request: pipeline_pb2.PlanPipelineRequest, context: Context
    ) -> pipeline_pb2.PlanPipelineResponse:
        plan = await self._runs.plan(spec_from_proto(request.spec))
        return pipeline_pb2.PlanPipelineResponse(
            plan=[planned_to_proto(phase) for phase in plan.plan],
            violations=[event_pb2.ErrorDetail(**violation.model_dump()) for violation in plan.violations],
        )

    async def StartPipeline(
        self, request: pipeline_pb2.StartPipelineRequest, context: Context
    ) -> pipeline_pb2.StartPipelineResponse:
        run, created = await self._runs.start(request.run_id, spec_from_proto(request.spec), _traceparent(context))
        return pipeline_pb2.StartPipelineResponse(pipeline=run_to_proto(run), created=created)

    async def GetPipeline(
        self, request: pipeline_pb2.GetPipelineRequest, context: Context
    ) -> pipeline_pb2.GetPipelineResponse:
        return pipeline_pb2.GetPipelineResponse(pipeline=run_to_proto(await self._runs.get(request.run_id)))

    async def ListPipelines(
        self, request: pipeline_pb2.ListPipelinesRequest, context: Context
    ) -> pipeline_pb2.ListPipelinesResponse:
        states = [_state(number) for number in request.states]
        runs, token = await self._runs.page(request.page_size, request.page_token, states)
        return pipeline_pb2.ListPipelinesResponse(
            pipelines=[run_to_proto(run) for run in runs], next_page_token=token
        )

    async def WatchPipeline(
        self, request: pipeline_pb2.WatchPipelineRequest, context: Context
    ) -> AsyncGenerator[pipeline_pb2.WatchPipelineResponse, None]:
        after = min(request.after_sequence, MAX_SEQUENCE)
        async with contextlib.aclosing(await self._runs.watch(request.run_id, after)) as items:
            async for item in items:
                if isinstance(item, Chunk):
                    yield pipeline_pb2.WatchPipelineResponse(events=item.events)
                elif isinstance(item, CaughtUp):
                    mark = event_pb2.Event(caught_up=event_pb2.CaughtUp(sequence=item.sequence))
                    yield pipeline_pb2.WatchPipelineResponse(events=[mark])
                else:
                    beat = event_pb2.Event(heartbeat=event_pb2.Heartbeat())
                    yield pipeline_pb2.WatchPipelineResponse(events=[beat])

    async def CancelPipeline(
        self, request: pipeline_pb2.CancelPipelineRequest, context: Context
    ) -> pipeline_pb2.CancelPipelineResponse:
        run = await self._runs.cancel(request.run_id, request.reason)
        return pipeline_pb2.CancelPipelineResponse(pipeline=run_to_proto(run))

    async def ResumePipeline(
        self, request: pipeline_pb2.ResumePipelineRequest, context: Context
    ) -> pipeline_pb2.ResumePipelineResponse:
        return pipeline_pb2.ResumePipelineResponse(pipeline=run_to_proto(await self._runs.resume(request.run_id)))


class GrpcFace:
    """The server: PipelineService, health for it and for "", and reflection."""

    def __init__(self, parts: Parts) -> None:
        self._tls = parts.settings.tls
        self._server = grpc.aio.server(
            interceptors=[Gate(admit=admission(parts.access))],
            options=[("grpc.max_receive_message_length", 4 << 20), ("grpc.so_reuseport", 0)],
        )
        self._health = health.HealthServicer()
        pipeline_pb2_grpc.add_PipelineServiceServicer_to_server(PipelineServicer(parts), self._server)
        registry_pb2_grpc.add_RegistryServiceServicer_to_server(
            registry.RegistryServicer(parts.registry), self._server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*_SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    async def start(self, address: str) -> str:
        """Listen; give the address with the port that was taken."""
        # A unix socket is closed to others by its directory; TLS has no name to check there.
        tls = None if address.startswith("unix:") else self._tls
        try:
            if tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, tls.server_credentials())
        except RuntimeError:
            raise InvalidInput(
                f"the gateway cannot listen on {address}",
                reason="ADDRESS_IN_USE",
                field="grpc_listen",
                next_step="Stop what listens there, or choose another address.",
            ) from None
        await self._server.start()
        for name in ("", *_SERVICES):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        if address.startswith("unix:"):
            return address
        return f"{split_address(address, 'grpc_listen')[0]}:{port}"

    async def stop(self, grace_s: float) -> None:
        for name in ("", *_SERVICES):
            await self._health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.stop(grace_s)


def _traceparent(context: Context) -> str | None:
    value = dict(context.invocation_metadata() or ()).get("traceparent")
    return value if isinstance(value, str) else None


def _state(number: int) -> State:
    if number == event_pb2.RUN_STATE_UNSPECIFIED or number not in event_pb2.RunState.values():
        raise InvalidInput(
            f"{number} is no state of a run", field="states", next_step="See agentforge.v1.RunState."
        )
    return State(event_pb2.RunState.Name(number))  # type: ignore[arg-type]
