"""A page for each phase of a run: its pictures, and every number that it measured."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agentforge_gateway.api_models import RunId
from agentforge_gateway.api_phases import PhaseName
from agentforge_gateway.dash.figures import figures_of
from agentforge_gateway.dash.figures.figure import Source
from agentforge_gateway.dash.live import Drawing, live
from agentforge_gateway.dash.pages_runs import view_of
from agentforge_gateway.dash.render import fragment, page
from agentforge_gateway.dash.view import RunView, Views
from agentforge_gateway.parts import Parts

_PARTS = {
    "summary": "phase_summary",
    "figures": "figures",
    "measured": "measured",
    "samples": "samples",
    "outputs": "outputs",
    "log": "log",
}


def phase_pages_router(parts: Parts, views: Views) -> APIRouter:
    router = APIRouter()

    @router.get("/runs/{run_id}/{phase}")
    async def phase_page(request: Request, run_id: RunId, phase: PhaseName) -> Response:
        view = await view_of(parts, views, run_id)
        view.phase(phase)
        return page(request, "phase.html", **await asyncio.to_thread(_values, view, phase))

    @router.get("/runs/{run_id}/{phase}/live")
    async def live_phase(run_id: RunId, phase: PhaseName) -> Response:
        view = await view_of(parts, views, run_id)
        view.phase(phase)

        async def draw() -> tuple[Drawing, bool]:
            await view.follow()
            drawn = await view.once(phase, lambda: asyncio.to_thread(_drawing, view, phase))
            return drawn, view.run.state.final

        return live(draw, parts.tails.closing)

    return router


def _values(view: RunView, name: str) -> dict[str, Any]:
    run, history = view.phase(name)
    planned = next(phase for phase in view.run.plan if phase.phase == name)
    return {
        "run": view.run,
        "phase": run,
        "figures": figures_of(Source(run, history, view.place(name), planned.config)),
        "samples": list(history.samples),
        "log": [(time, name, level, text) for time, level, text in history.log],
        "config": json.dumps(planned.config, indent=1),
    }


def _drawing(view: RunView, name: str) -> Drawing:
    values = _values(view, name)
    drawing: dict[str, Any] = {key: fragment(f"parts/{part}.html", **values) for key, part in _PARTS.items()}
    return drawing | {figure.key: figure.plot for figure in values["figures"]}
