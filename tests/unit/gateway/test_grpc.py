"""PipelineService over a unix socket: the semantics of REST, the errors of the phases."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from agentforge.client import forge_error
from agentforge.v1 import event_pb2, pipeline_pb2, pipeline_pb2_grpc

from .conftest import world_with


def asked(**config: dict[str, Any]) -> pipeline_pb2.PipelineSpec:
    found = pipeline_pb2.PipelineSpec(until_phase="count", no_reuse=True)
    for phase, values in config.items():
        found.config[phase].update(values)
    return found


def test_pipeline_service(place: Path) -> None:
    async def story() -> None:
        address = f"unix:{place}/gateway.s"
        async with (
            world_with(place, "echo", "count") as world,
            world.gateway(listen="", grpc_listen=address),
            grpc.aio.insecure_channel(address) as channel,
        ):
            stub: Any = pipeline_pb2_grpc.PipelineServiceStub(channel)
            health: Any = health_pb2_grpc.HealthStub(channel)
            for name in ("", "agentforge.v1.PipelineService"):
                answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
            await _reflects(channel)
            phases = (await stub.ListPhases(pipeline_pb2.ListPhasesRequest())).phases
            assert [p.phase for p in phases] == ["echo", "count", "fail", "leak"]
            assert phases[3].error.reason == "PHASE_UNREACHABLE"
            wrong = pipeline_pb2.PlanPipelineRequest(spec=asked(count={"n": 0}))
            assert [v.field for v in (await stub.PlanPipeline(wrong)).violations] == ["count.n"]
            spec = asked(count={"n": 20, "step_s": 0.02})
            plan = await stub.PlanPipeline(pipeline_pb2.PlanPipelineRequest(spec=spec))
            assert plan.plan[1].config["n"] == 20
            begun = await stub.StartPipeline(pipeline_pb2.StartPipelineRequest(run_id="g", spec=spec))
            assert begun.created
            assert begun.pipeline.state == event_pb2.RUN_STATE_QUEUED
            events: list[event_pb2.Event] = []
            async for response in stub.WatchPipeline(pipeline_pb2.WatchPipelineRequest(run_id="g")):
                events += response.events
            logged = [event for event in events if event.sequence]
            assert [event.sequence for event in logged] == list(range(1, len(logged) + 1))
            assert logged[-1].state_changed.state == event_pb2.RUN_STATE_SUCCEEDED
            assert any(event.WhichOneof("payload") == "caught_up" for event in events)
            got = (await stub.GetPipeline(pipeline_pb2.GetPipelineRequest(run_id="g"))).pipeline
            assert got.phases[1].outputs[0].kind == "text"
            assert got.last_sequence == len(logged)
            listed = await stub.ListPipelines(pipeline_pb2.ListPipelinesRequest(page_size=10))
            assert [p.run_id for p in listed.pipelines] == ["g"]
            await _refuses(stub)

    asyncio.run(story())


async def _refuses(stub: Any) -> None:
    calls = [
        (stub.GetPipeline(pipeline_pb2.GetPipelineRequest(run_id="no")), "NOT_FOUND", "UNKNOWN_RUN"),
        (stub.GetPipeline(pipeline_pb2.GetPipelineRequest(run_id="a/b")), "INVALID_ARGUMENT", "INVALID_NAME"),
        (
            stub.ResumePipeline(pipeline_pb2.ResumePipelineRequest(run_id="g")),
            "FAILED_PRECONDITION",
            "ALREADY_DONE",
        ),
        (
            stub.StartPipeline(pipeline_pb2.StartPipelineRequest(run_id="g", spec=asked(count={"n": 1}))),
            "ALREADY_EXISTS",
            "ALREADY_EXISTS",
        ),
        (
            stub.StartPipeline(pipeline_pb2.StartPipelineRequest(run_id="h", spec=asked(count={"nn": 1}))),
            "INVALID_ARGUMENT",
            "UNKNOWN_FIELD",
        ),
        (
            stub.ListPipelines(pipeline_pb2.ListPipelinesRequest(page_token="x")),
            "INVALID_ARGUMENT",
            "INVALID_PAGE_TOKEN",
        ),
        (stub.ListPipelines(pipeline_pb2.ListPipelinesRequest(states=[77])), "INVALID_ARGUMENT", "INVALID_INPUT"),
    ]
    for call, code, reason in calls:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert (caught.value.code().name, forge_error(caught.value).reason) == (code, reason)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stub.WatchPipeline(pipeline_pb2.WatchPipelineRequest(run_id="no")):
            pass
    assert forge_error(caught.value).reason == "UNKNOWN_RUN"


async def _reflects(channel: grpc.aio.Channel) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)

    async def ask() -> Any:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    async for answer in stub.ServerReflectionInfo(ask()):
        names = [service.name for service in answer.list_services_response.service]
        assert "agentforge.v1.PipelineService" in names
