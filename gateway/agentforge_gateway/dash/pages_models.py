"""Models: the list, one model with its versions and aliases, and the forms that register, promote and roll back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from agentforge.kit.errors import ForgeError, InvalidInput
from agentforge_gateway.access import audit
from agentforge_gateway.api_registry import ModelName, PromoteAlias, RollbackAlias
from agentforge_gateway.dash.render import page
from agentforge_gateway.models import Measurement, Model, State
from agentforge_gateway.parts import Parts
from agentforge_gateway.protojson import violations_of_validation
from agentforge_gateway.registry import choosing
from agentforge_gateway.registry.lineage import Lineage
from agentforge_gateway.registry.records import ModelRecord, Promotion, Register, VersionRecord

_ON_A_PAGE = 100
_RUNS = 20  # whose outputs are offered
_SIDE_BY_SIDE = 6  # versions
_MOST_FIELDS = 20
Chosen = Annotated[str, Query(max_length=1000)]
Form = dict[str, str]
T = TypeVar("T", bound=Model)


@dataclass(frozen=True, slots=True)
class Alias:
    """`standing`: what a form that was made now expects to find."""

    name: str
    standing: str
    log: list[Promotion]


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
        form = await _form(request)
        try:
            given = {key: form.get(key, "").strip() for key in ("source", "version", "base", "description")}
            asked = _checked(Register, given | {"by": _who(request)})
            audit.about(form.get("name", ""))
            made, _ = await parts.registry.register(form.get("name", "").strip(), asked)
        except ForgeError as error:
            return await _list(parts, request, form, error)
        return _to(made.name, made.version)

    _add_model(router, parts)
    return router


def _add_model(router: APIRouter, parts: Parts) -> None:
    @router.get("/models/{name}")
    async def model_page(request: Request, name: ModelName, version: Chosen = "") -> Response:
        return await _one(parts, request, name, version)

    @router.post("/models/{name}/promote")
    async def promote(request: Request, name: ModelName) -> Response:
        form = await _form(request)
        given = {key: form.get(key, "").strip() for key in ("alias", "version", "why", "expected_version")}
        try:
            asked = _checked(PromoteAlias, given | {"by": _who(request)})
            moved = await parts.registry.promote(name, asked.alias, asked)
        except ForgeError as error:
            return await _one(parts, request, name, "", error)
        return _to(name, moved.to_version or "")

    @router.post("/models/{name}/rollback")
    async def rollback(request: Request, name: ModelName) -> Response:
        form = await _form(request)
        given = {key: form.get(key, "").strip() for key in ("alias", "why", "expected_version")}
        try:
            asked = _checked(RollbackAlias, given | {"by": _who(request)})
            moved = await parts.registry.rollback(name, asked.alias, asked)
        except ForgeError as error:
            return await _one(parts, request, name, "", error)
        return _to(name, moved.to_version or "")


async def _form(request: Request) -> Form:
    async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


def _checked(of: type[T], values: dict[str, str]) -> T:
    """By the rules of the REST route."""
    try:
        return of.model_validate(values)
    except ValidationError as error:
        raise InvalidInput.of(violations_of_validation(error.errors())) from None


def _who(request: Request) -> str:
    """By its token; the registry has words for a gateway that asks for none."""
    caller = request.state.caller
    return caller.name if caller.token_id else ""


def _to(name: str, version: str) -> RedirectResponse:
    return RedirectResponse(f"/models/{name}?version={version}", status_code=303)


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


async def _one(parts: Parts, request: Request, name: str, which: str, error: ForgeError | None = None) -> Response:
    """`error`: of a form on it, told above what is so now."""
    model = await parts.registry.model(name)
    shown = choosing.choose(model, which) if which else _newest(model)
    lineage: Lineage | None = None
    card = ""
    if shown is not None and shown.tombstone is None:
        lineage, card = await parts.registry.views.lineage(shown), await parts.registry.views.card(shown)
    log = (await parts.registry.log(name)).promotions
    alive = [one for one in model.versions if one.tombstone is None]
    return page(
        request, "model.html", 200 if error is None else error.http_status, model=model, alive=alive, shown=shown,
        aliases=_aliases(model, log), log=log[::-1], lineage=lineage, card=card, error=error,
        measured=_measured(alive[:_SIDE_BY_SIDE]), columns=alive[:_SIDE_BY_SIDE],
    )  # fmt: skip


def _newest(model: ModelRecord) -> VersionRecord | None:
    return next((one for one in model.versions if one.tombstone is None), None)


def _aliases(model: ModelRecord, log: Sequence[Promotion]) -> list[Alias]:
    names = dict.fromkeys([entry.alias for entry in log])
    return [
        Alias(name, model.aliases.get(name, ""), [entry for entry in log if entry.alias == name])
        for name in sorted(names)
    ]


def _measured(versions: Sequence[VersionRecord]) -> dict[str, list[Measurement | None]]:
    names = sorted({one.name for version in versions for one in version.measurements})
    return {name: [version.measured(name) for version in versions] for name in names}
