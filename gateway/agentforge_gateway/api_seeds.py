"""The seeds' own routes: POST /cognate/run, POST /evomerge/evolve, WS /evomerge/progress/{session_id}.

Faces of /v1/phases with the seeds' names: a session is a run of one phase, its id the run's. What the seeds await
is the end, so the answer comes then; who goes away meanwhile asks the same again and gets the same run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, WebSocket
from pydantic import Field

from agentforge.kit.errors import ForgeError, NotFound, Unavailable
from agentforge.kit.paths import check_run_id, resolve_inside
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.serve.values import to_struct
from agentforge.kit.state import RunSummary
from agentforge.v1 import phase_pb2
from agentforge_gateway import problems
from agentforge_gateway.access import audit
from agentforge_gateway.api_models import new_run_id
from agentforge_gateway.models import (
    Artifact,
    ConfigValues,
    ErrorDetail,
    GivenRunId,
    Measurement,
    Model,
    PhaseRunAlone,
    Short,
    State,
)
from agentforge_gateway.parts import Parts
from agentforge_gateway.plan import artifact_to_proto
from agentforge_gateway.protojson import to_json
from agentforge_gateway.registry import choosing, sources
from agentforge_gateway.registry.versions import split_ref
from agentforge_gateway.streams import feed_texts
from agentforge_gateway.tail import CaughtUp, Chunk, Item

COGNATE, EVOMERGE, MODEL = "cognate", "evomerge", "model"
FITNESS = "evomerge/best_fitness"
_REFUSALS = problems.documented(404, 409, 429, 507)
ModelId = Annotated[str, Field(min_length=1, max_length=4096)]


class CognateRun(Model):
    session_id: GivenRunId = None
    config: Annotated[ConfigValues, Field(description="Fields that differ from the preset.")] = Field(
        default_factory=dict
    )
    preset: Short = ""
    wait: Annotated[bool, Field(description="Answer when the run has ended; else as soon as it has started.")] = (
        True
    )


class Evolve(CognateRun):
    input_model_ids: Annotated[
        list[ModelId],
        Field(
            max_length=64, description="model_ids of a cognate run (paths on the volume), or NAME[:VERSION|ALIAS]."
        ),
    ] = Field(default_factory=list)


class Session(Model):
    """`success` is null while it runs. A model's id is its path on the volume."""

    session_id: str
    status: str
    success: bool | None = None
    model_ids: list[str] = Field(default_factory=list)
    metrics: dict[str, float] = Field(default_factory=dict, description="The last of each name.")
    measurements: list[Measurement] = Field(default_factory=list)
    error: ErrorDetail | None = None


class Evolved(Session):
    model_id: str | None = None
    fitness: Annotated[float | None, Field(description=f"The last {FITNESS}, where it was measured.")] = None


def seeds_router(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["seeds"])

    @router.post("/cognate/run", responses=_REFUSALS)
    async def run_cognate(request: CognateRun) -> Session:
        """Phase cognate by itself. The same as POST /v1/phases/cognate/runs, then waiting for its end."""
        return Session(**_told(await _run(parts, COGNATE, request, [])))

    @router.post("/evomerge/evolve", responses=_REFUSALS)
    async def evolve(request: Evolve) -> Evolved:
        """Phase evomerge by itself, on models that are named. Its progress meanwhile: WebSocket
        /evomerge/progress/{session_id}, messages {"status", "metrics", "progress", "error"}."""
        run = await _run(parts, EVOMERGE, request, await _inputs(parts, request.input_model_ids))
        told = _told(run)
        model_id = told["model_ids"][0] if told["model_ids"] else None
        return Evolved(**told, model_id=model_id, fitness=told["metrics"].get(FITNESS))

    @router.websocket("/evomerge/progress/{session_id}")
    async def progress(socket: WebSocket, session_id: str) -> None:
        try:
            check_run_id(session_id)
            await parts.links[EVOMERGE].get(session_id)
        except ForgeError as error:
            await socket.send_denial_response(problems.problem_response(error))
            return
        await feed_texts(socket, _updates(_events(parts, EVOMERGE, session_id)))

    return router


def status_of(state: State) -> str:
    """In the seeds' words."""
    return "completed" if state is State.SUCCEEDED else state.value.removeprefix("RUN_STATE_").lower()


async def _run(parts: Parts, phase: str, asked: CognateRun, inputs: Sequence[Artifact]) -> PhaseRunAlone:
    link = parts.links[phase]
    started = await link.start(
        phase_pb2.StartRunRequest(
            run_id=asked.session_id or new_run_id(),
            preset=asked.preset,
            config=to_struct(asked.config),
            inputs=[artifact_to_proto(artifact) for artifact in inputs],
        )
    )
    run_id = started.run.run_id
    audit.about(f"{phase}/{run_id}")
    if not asked.wait:
        return _read(started.run)
    async with contextlib.aclosing(_events(parts, phase, run_id)) as events:
        async for _ in events:
            pass
    run = _read(await link.get(run_id))
    if not run.state.final:  # the stream ends early when the gateway stops
        message, step = f"the gateway is stopping; run {run_id!r} goes on", "Ask the same again in a moment."
        raise Unavailable(message, field="session_id", next_step=step)
    return run


def _events(parts: Parts, phase: str, run_id: str) -> AsyncGenerator[Item, None]:
    log = RunDirectory(parts.settings.home, run_id, phase).log_path
    return parts.tails.watch(log, phase, 0, parts.settings.heartbeat_s)


def _read(run: phase_pb2.Run) -> PhaseRunAlone:
    return PhaseRunAlone.model_validate(to_json(run))


def _told(run: PhaseRunAlone) -> dict[str, Any]:
    return {
        "session_id": run.run_id,
        "status": status_of(run.state),
        "success": run.state is State.SUCCEEDED if run.state.final else None,
        "model_ids": [output.path for output in run.outputs if output.kind == MODEL],
        "metrics": {one.name: one.value for one in run.measurements},
        "measurements": run.measurements,
        "error": run.error,
    }


async def _inputs(parts: Parts, model_ids: Sequence[str]) -> list[Artifact]:
    """Under their own names, by which the family tree calls them."""
    inputs: list[Artifact] = []
    for number, model_id in enumerate(model_ids):
        artifact = await _input(parts, model_id, f"input_model_ids[{number}]")
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", artifact.name).lstrip(".-")[:40] or MODEL
        taken = {one.name for one in inputs}
        inputs.append(artifact.model_copy(update={"name": f"{name}-{number}" if name in taken else name}))
    return inputs


async def _input(parts: Parts, model_id: str, field: str) -> Artifact:
    home = parts.settings.home
    if "/" not in model_id:
        return choosing.alive(await parts.registry.version(*split_ref(model_id))).artifact
    place = await asyncio.to_thread(resolve_inside, home, model_id, field=field)
    path = place.relative_to(home).as_posix()
    if path.startswith("runs/"):  # its digest stands in the run's DONE.json, and is compared
        ref = await asyncio.to_thread(sources.from_path, home, path, place.name)
        return Artifact(**ref.to_json())
    if not await asyncio.to_thread(place.exists):
        message = f"there is nothing at {model_id[:200]!r} on the volume"
        raise NotFound(message, reason="ARTIFACT_NOT_FOUND", field=field, next_step="Give a path of model_ids.")
    return Artifact(name=place.name, kind=MODEL, path=path)


async def _updates(items: AsyncGenerator[Item, None]) -> AsyncGenerator[str, None]:
    """What is so after each batch of events, where it differs, and again as a sign of life."""
    run = RunSummary()
    said = ""
    async with contextlib.aclosing(items):
        async for item in items:
            if isinstance(item, CaughtUp):
                continue
            if isinstance(item, Chunk):
                run.feed(item.records())
            metrics = {name: one["value"] for name, one in run.measurements.items()}
            told = {"status": status_of(State(run.state)), "metrics": metrics, "progress": run.progress}
            text = json.dumps({**told, "error": run.error})
            if text != said or not isinstance(item, Chunk):
                said = text
                yield text
