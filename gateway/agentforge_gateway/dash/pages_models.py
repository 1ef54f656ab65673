"""The list of models, and the form that registers one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from agentforge.kit.errors import ForgeError
from agentforge_gateway.access import audit
from agentforge_gateway.dash.posted import Form, checked, form_of, given, to_version, who
from agentforge_gateway.dash.render import page
from agentforge_gateway.models import State
from agentforge_gateway.parts import Parts
from agentforge_gateway.registry.records import Register

_ON_A_PAGE = 100
_RUNS = 20  # whose outputs are offered


def models_router(parts: Parts) -> APIRouter:
    router = APIRouter()

    @router.get("/models")
    async def models(
        request: Request,
        page_token: Annotated[str, Query(max_length=1000)] = "",
        source: Annotated[str, Query(max_length=4096)] = "",
    ) -> Response:
        return await _list(parts, request, {"source": source}, page_token=page_token)

    @router.post("/models")
    async def register(request: Request) -> Response:
        form = await form_of(request)
        try:
            fields = given(form, "source", "version", "base", "description")
            asked = checked(Register, fields | {"by": who(request)})
            audit.about(form.get("name", ""))
            made, _ = await parts.registry.register(form.get("name", "").strip(), asked)
        except ForgeError as error:
            return await _list(parts, request, form, error)
        return to_version(made.name, made.version)

    return router


async def _list(
    parts: Parts, request: Request, filled: Form, error: ForgeError | None = None, *, page_token: str = ""
) -> Response:
    found = await parts.registry.page(_ON_A_PAGE, page_token)
    runs, _ = await parts.runs.page(_RUNS, states=(State.SUCCEEDED,))
    sources = [
        f"{run.run_id}:{phase.phase}/{output.name}"
        for run in runs
        for phase in run.phases
        for output in phase.outputs
    ]
    blank = dict.fromkeys(("name", "source", "version", "base", "description"), "")
    return page(
        request, "models.html", 200 if error is None else error.http_status, models=found.models,
        next_page_token=found.next_page_token, sources=sources, filled=blank | filled, error=error,
    )  # fmt: skip
