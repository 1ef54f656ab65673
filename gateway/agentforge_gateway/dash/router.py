"""All pages and what they are made of."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response

from agentforge_gateway.api_models import RunId
from agentforge_gateway.dash import report
from agentforge_gateway.dash.files import static_files
from agentforge_gateway.dash.pages_compare import compare_router
from agentforge_gateway.dash.pages_model import model_router
from agentforge_gateway.dash.pages_models import models_router
from agentforge_gateway.dash.pages_phase import phase_pages_router
from agentforge_gateway.dash.pages_play import play_router
from agentforge_gateway.dash.pages_runs import runs_router, view_of
from agentforge_gateway.dash.pages_start import start_router
from agentforge_gateway.dash.view import Views
from agentforge_gateway.parts import Parts

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FRESH = {"Cache-Control": "no-cache"}  # asked for again, by ETag


def dash_router(parts: Parts) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    views = Views(parts.settings.home)
    _add_files(router, parts, views)
    router.include_router(runs_router(parts, views))
    router.include_router(start_router(parts))
    router.include_router(compare_router(parts))
    router.include_router(phase_pages_router(parts, views))
    router.include_router(models_router(parts))
    router.include_router(model_router(parts))
    router.include_router(play_router(parts))
    return router


def _add_files(router: APIRouter, parts: Parts, views: Views) -> None:
    @router.get("/static/{name}")
    async def static(name: str) -> Response:
        file = static_files().get(name)
        if file is None:
            raise HTTPException(404)
        return FileResponse(file, media_type=_TYPES[file.suffix], headers=_FRESH)

    @router.get("/favicon.ico")
    async def icon() -> Response:
        """Asked for by browsers where a page names none: at the way in, and beside what is no page."""
        return FileResponse(static_files()["icon.svg"], media_type=_TYPES[".svg"], headers=_FRESH)

    @router.get("/runs/{run_id}/report.html")
    async def run_report(run_id: RunId) -> Response:
        view = await view_of(parts, views, run_id)
        return HTMLResponse(await asyncio.to_thread(report.report_html, view), headers=report.HEADERS)
