"""The list of runs, and a run's page: its phases as a road, what it says, and its end."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from agentforge_gateway.api_models import RunId
from agentforge_gateway.dash.live import Drawing, live
from agentforge_gateway.dash.render import fragment, page, seconds_between
from agentforge_gateway.dash.view import RunView, Views
from agentforge_gateway.models import Run, State
from agentforge_gateway.parts import Parts

_ON_A_PAGE = 50
_LOG_LINES = 200


class Remaining(NamedTuple):
    seconds: float
    why: str


def runs_router(parts: Parts, views: Views) -> APIRouter:
    router = APIRouter()

    @router.get("/")
    async def home(request: Request, page_token: Annotated[str, Query(max_length=1000)] = "") -> Response:
        runs, older = await parts.runs.page(_ON_A_PAGE, page_token)
        return page(request, "runs.html", runs=runs, next_page_token=older)

    @router.get("/live/runs")
    async def live_runs() -> Response:
        async def draw() -> tuple[Drawing, bool]:
            runs, older = await parts.runs.page(_ON_A_PAGE)
            return {"runs": fragment("parts/runs_table.html", runs=runs, next_page_token=older)}, False

        return live(draw, parts.tails.closing, every_s=1.0)

    @router.get("/runs/{run_id}")
    async def run_page(request: Request, run_id: RunId) -> Response:
        view = await view_of(parts, views, run_id)
        return page(request, "run.html", **await _values(parts, view))

    @router.get("/runs/{run_id}/live")
    async def live_run(run_id: RunId) -> Response:
        view = await view_of(parts, views, run_id)

        async def draw() -> tuple[Drawing, bool]:
            await view.follow()
            return await view.once("run", lambda: _drawing(parts, view)), view.run.state.final

        return live(draw, parts.tails.closing)

    @router.post("/runs/{run_id}/cancel")
    async def cancel(run_id: RunId) -> Response:
        await parts.runs.cancel(run_id, "cancelled on its page")
        return _to(run_id)

    @router.post("/runs/{run_id}/resume")
    async def resume(run_id: RunId) -> Response:
        await parts.runs.resume(run_id)
        return _to(run_id)

    return router


async def view_of(parts: Parts, views: Views, run_id: str) -> RunView:
    """Of a run that the gateway knows: an error with a hint otherwise."""
    await parts.runs.get(run_id)
    return await views.get(run_id)


async def _values(parts: Parts, view: RunView) -> dict[str, Any]:
    return {"run": view.run, "log": _log(view), "remaining": await _remaining(parts, view.run)}


async def _drawing(parts: Parts, view: RunView) -> Drawing:
    values = await _values(parts, view)
    return {
        "summary": fragment("parts/run_summary.html", **values),
        "actions": fragment("parts/run_actions.html", form_token="", **values),  # the page's script adds it
        "road": fragment("parts/road.html", **values),
        "log": fragment("parts/log.html", **values),
    }


def _log(view: RunView) -> list[tuple[str, str, str, str]]:
    """Lines of all phases, by time."""
    lines = [(time, name, level, text) for name, of in view.history.phases.items() for time, level, text in of.log]
    return sorted(lines, key=lambda line: line[0])[-_LOG_LINES:]


async def _remaining(parts: Parts, run: Run) -> Remaining | None:
    """By the last run of the same preset that went through all these phases; nothing is guessed without one."""
    if run.state is not State.RUNNING or not run.spec.preset:
        return None
    names = [phase.phase for phase in run.phases]
    for other in (await parts.runs.page(_ON_A_PAGE, states=(State.SUCCEEDED,)))[0]:
        took = {phase.phase: seconds_between(phase.start_time, phase.end_time) for phase in other.phases}
        took = {phase.phase: took[phase.phase] for phase in other.phases if phase.state is State.SUCCEEDED}
        if other.spec.preset == run.spec.preset and all(took.get(name) for name in names):
            left = sum(took[phase.phase] or 0.0 for phase in run.phases if phase.end_time is None)
            current = next((phase for phase in run.phases if phase.state is State.RUNNING), None)
            if current is not None and current.progress and current.progress.total:
                left -= (took[current.phase] or 0.0) * current.progress.done / current.progress.total
            return Remaining(left, f"if it takes as long as {other.run_id}")
    return None


def _to(run_id: str) -> RedirectResponse:
    return RedirectResponse(f"/runs/{run_id}", status_code=303)
