"""The REST face: pipeline runs. Phases are in api_phases, the pages for people and probes in api_pages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, FastAPI, Header, Query, Response, WebSocket
from pydantic import BaseModel

from agentforge.kit.errors import ForgeError
from agentforge_gateway import problems
from agentforge_gateway.access import audit
from agentforge_gateway.access.login import login_router
from agentforge_gateway.access.routes import access_router
from agentforge_gateway.api_models import EVENT_STREAM, After, CancelRequest, RunId, new_run_id
from agentforge_gateway.api_pages import pages_router
from agentforge_gateway.api_phases import phases_router
from agentforge_gateway.api_registry import registry_router
from agentforge_gateway.api_seeds import seeds_router
from agentforge_gateway.dash.router import dash_router
from agentforge_gateway.guard import Guard
from agentforge_gateway.models import PipelineSpec, Plan, Run, StartRequest, State
from agentforge_gateway.parts import Parts
from agentforge_gateway.streams import feed_websocket, sse_response, start_after


class RunPage(BaseModel):
    runs: list[Run]
    next_page_token: str = ""


def build_app(parts: Parts) -> FastAPI:
    app = FastAPI(
        title="Agent Forge gateway",
        summary="Runs of the pipeline and of single phases.",
        version="1",
        docs_url=None,  # the usual page loads its scripts from a CDN; ours is in api_pages
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    app.add_middleware(Guard, access=parts.access, local_only=parts.settings.local_only)
    problems.install(app)
    app.include_router(runs_router(parts))
    app.include_router(phases_router(parts))
    app.include_router(registry_router(parts))
    app.include_router(seeds_router(parts))
    app.include_router(access_router(parts.access))
    app.include_router(login_router(parts.access))
    app.include_router(pages_router(parts, app))
    app.include_router(dash_router(parts))
    return app


def runs_router(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["runs"])
    runs = parts.runs

    @router.post("/v1/runs", status_code=201, responses={200: {"model": Run}, **problems.documented(409, 404, 507)})
    async def start_run(
        request: StartRequest, response: Response, traceparent: Annotated[str | None, Header(max_length=512)] = None
    ) -> Run:
        """Start a run; 200 and the run that is there when the same was asked before under this id."""
        spec = PipelineSpec.model_validate(request.model_dump(exclude={"run_id"}))
        run, created = await runs.start(request.run_id or new_run_id(), spec, traceparent)
        audit.about(run.run_id)
        response.status_code = 201 if created else 200
        return run

    @router.get("/v1/runs", responses=problems.documented())
    async def list_runs(
        page_size: Annotated[int, Query(ge=0, le=1000, description="0: 100.")] = 0,
        page_token: Annotated[str, Query(max_length=1000)] = "",
        state: Annotated[list[State] | None, Query(description="Only runs in one of these states.")] = None,
    ) -> RunPage:
        """Newest first."""
        found, token = await runs.page(page_size, page_token, state or ())
        return RunPage(runs=found, next_page_token=token)

    @router.post("/v1/runs:plan", responses=problems.documented(404))
    async def plan_run(spec: PipelineSpec) -> Plan:
        """Check everything that a start would check, and start nothing. Violations are in the answer."""
        return await runs.plan(spec)

    @router.get("/v1/runs/{run_id}", responses=problems.documented(404))
    async def get_run(run_id: RunId) -> Run:
        return await runs.get(run_id)

    @router.post("/v1/runs/{run_id}:cancel", responses=problems.documented(404, 409))
    async def cancel_run(run_id: RunId, request: CancelRequest | None = None) -> Run:
        """Ask the run to stop. It ends CANCELLED a little later; a run that has ended stays as it is."""
        return await runs.cancel(run_id, request.reason if request else "")

    @router.post("/v1/runs/{run_id}:resume", responses=problems.documented(404, 409))
    async def resume_run(run_id: RunId) -> Run:
        """Go on with a run that failed or was cancelled: finished phases stay."""
        return await runs.resume(run_id)

    _add_streams(router, parts)
    return router


def _add_streams(router: APIRouter, parts: Parts) -> None:
    @router.get(
        "/v1/runs/{run_id}/events", response_class=Response, responses=EVENT_STREAM | problems.documented(404)
    )
    async def run_events(
        run_id: RunId,
        after: After = None,
        last_event_id: Annotated[str | None, Header(max_length=64)] = None,
    ) -> Response:
        """Server-sent events: what was, `caught_up`, then what comes, until the run is final."""
        position = start_after(after, last_event_id)
        return sse_response(await parts.runs.watch(run_id, position))

    @router.websocket("/v1/runs/{run_id}/ws")
    async def run_socket(socket: WebSocket, run_id: str) -> None:
        await answer_websocket(socket, run_id, parts)


async def answer_websocket(socket: WebSocket, run_id: str, parts: Parts) -> None:
    """A refusal is an ordinary problem response to the handshake."""
    try:
        after = socket.query_params.get("after")
        items = await parts.runs.watch(run_id, start_after(None, after))
    except ForgeError as error:
        await socket.send_denial_response(problems.problem_response(error))
        return
    await feed_websocket(socket, items)
