"""The REST face: single phases. What is asked goes on to the phase's service, and its answer comes back as JSON."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from agentforge.kit.rundir import RunDirectory
from agentforge.kit.serve.values import to_struct
from agentforge.v1 import event_pb2, phase_pb2
from agentforge_gateway import phases, problems
from agentforge_gateway.access import audit
from agentforge_gateway.api_models import EVENT_STREAM, After, CancelRequest, RunId, new_run_id
from agentforge_gateway.models import PhaseRunAlone, PhaseRunPage, StartPhase, State, Status, Statuses
from agentforge_gateway.parts import Parts
from agentforge_gateway.plan import artifact_to_proto
from agentforge_gateway.protojson import to_json
from agentforge_gateway.streams import sse_response, start_after

PhaseName = Annotated[str, Path(max_length=64)]


def phases_router(parts: Parts) -> APIRouter:
    router = APIRouter(prefix="/v1/phases", tags=["phases"])
    links = parts.links

    @router.get("", responses=problems.documented())
    async def list_phases() -> Statuses:
        """In pipeline order; a phase whose service does not answer says why."""
        return Statuses.model_validate({"phases": [to_json(one) for one in await phases.statuses(links)]})

    @router.get("/{phase}", responses=problems.documented(404))
    async def get_phase(phase: PhaseName) -> Status:
        return Status.model_validate(to_json(await phases.status(links[phase])))

    _add_runs(router, parts)
    return router


def _add_runs(router: APIRouter, parts: Parts) -> None:
    links = parts.links

    @router.post("/{phase}/runs", status_code=201, responses={200: {"model": PhaseRunAlone}, **_REFUSALS})
    async def start_phase_run(phase: PhaseName, request: StartPhase, response: Response) -> PhaseRunAlone:
        """Start one phase by itself; 200 and the run that is there when the same was asked before under this id."""
        answer = await links[phase].start(
            phase_pb2.StartRunRequest(
                run_id=request.run_id or new_run_id(),
                preset=request.preset,
                config=to_struct(request.config),
                inputs=[artifact_to_proto(artifact) for artifact in request.inputs],
                retry=request.retry,
            )
        )
        audit.about(f"{phase}/{answer.run.run_id}")
        response.status_code = 201 if answer.created else 200
        return _run(answer.run)

    @router.get("/{phase}/runs", responses=problems.documented(404))
    async def list_phase_runs(
        phase: PhaseName,
        page_size: Annotated[int, Query(ge=0, le=1000, description="0: 100.")] = 0,
        page_token: Annotated[str, Query(max_length=1000)] = "",
        state: Annotated[list[State] | None, Query(description="Only runs in one of these states.")] = None,
    ) -> PhaseRunPage:
        """Newest first; runs of the phase inside pipelines are among them."""
        states = [event_pb2.RunState.Value(one.value) for one in state or ()]
        request = phase_pb2.ListRunsRequest(page_size=page_size, page_token=page_token, states=states)
        answer = await links[phase].list(request)
        return PhaseRunPage(runs=[_run(run) for run in answer.runs], next_page_token=answer.next_page_token)

    @router.get("/{phase}/runs/{run_id}", responses=problems.documented(404))
    async def get_phase_run(phase: PhaseName, run_id: RunId) -> PhaseRunAlone:
        return _run(await links[phase].get(run_id))

    @router.post("/{phase}/runs/{run_id}:cancel", responses=_REFUSALS)
    async def cancel_phase_run(
        phase: PhaseName, run_id: RunId, request: CancelRequest | None = None
    ) -> PhaseRunAlone:
        return _run(await links[phase].cancel(run_id, request.reason if request else ""))

    @router.get("/{phase}/runs/{run_id}/events", response_class=Response, responses=EVENT_STREAM | _REFUSALS)
    async def phase_run_events(
        phase: PhaseName,
        run_id: RunId,
        after: After = None,
        last_event_id: Annotated[str | None, Header(max_length=64)] = None,
    ) -> Response:
        """Server-sent events of the phase's own log, as for a pipeline run."""
        position = start_after(after, last_event_id)
        await links[phase].get(run_id)
        log = RunDirectory(parts.settings.home, run_id, phase).log_path
        return sse_response(parts.tails.watch(log, phase, position, parts.settings.heartbeat_s))


_REFUSALS = problems.documented(404, 409, 429, 507)


def _run(run: phase_pb2.Run) -> PhaseRunAlone:
    return PhaseRunAlone.model_validate(to_json(run))
