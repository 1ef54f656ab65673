"""For probes, for Prometheus, and for people who look at /docs. None of it needs a network."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Response
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import HTMLResponse, PlainTextResponse

from agentforge_gateway import phases, problems
from agentforge_gateway.access.headers import with_style
from agentforge_gateway.database import ping
from agentforge_gateway.docs_page import STYLE, docs_page
from agentforge_gateway.metrics import metrics_text
from agentforge_gateway.models import Model
from agentforge_gateway.parts import Parts


class Health(BaseModel):
    status: str


class Readiness(Model):
    ready: bool
    database: str
    phases: dict[str, str]


_WITH_READINESS = problems.documented() | {503: {"model": Readiness, "description": "The database is away."}}


def pages_router(parts: Parts, app: FastAPI) -> APIRouter:
    router = APIRouter(tags=["service"])

    @router.get("/healthz", responses=problems.documented())
    async def healthz() -> Health:
        """The process lives. Whether it can work is /readyz."""
        return Health(status="ok")

    @router.get("/readyz", responses=_WITH_READINESS)
    async def readyz(response: Response) -> Readiness:
        """Ready when the database answers. Phases that are away are reported, and waited for by runs."""
        try:
            await ping(parts.engine, parts.settings.database_timeout_s)
            database = "ok"
        except (SQLAlchemyError, OSError) as error:
            database = f"does not answer: {str(error).splitlines()[0]}"
            response.status_code = 503
        found = await phases.statuses(parts.links)
        said = {one.phase: one.error.message if one.HasField("error") else "ok" for one in found}
        return Readiness(ready=database == "ok", database=database, phases=said)

    @router.get("/metrics", response_class=PlainTextResponse, responses=problems.documented())
    async def metrics() -> PlainTextResponse:
        """Prometheus text format."""
        return PlainTextResponse(await metrics_text(parts), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()), headers={"Content-Security-Policy": with_style(STYLE)})

    return router
