"""One model: versions, aliases, lineage, and the forms that promote, roll back, tag, say what is best, delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from agentforge.kit.errors import ForgeError
from agentforge_gateway.api_registry import ModelName, PromoteAlias, Retag, RollbackAlias
from agentforge_gateway.dash.posted import Form, checked, form_of, given, to_version, who
from agentforge_gateway.dash.render import page
from agentforge_gateway.models import Measurement
from agentforge_gateway.parts import Parts
from agentforge_gateway.registry import choosing
from agentforge_gateway.registry.lineage import Lineage
from agentforge_gateway.registry.records import BestBy, Delete, ModelRecord, Promotion, VersionRecord
from agentforge_gateway.registry.versions import BEST

_SIDE_BY_SIDE = 6  # versions
Chosen = Annotated[str, Query(max_length=1000)]
Work = Callable[[Form], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Alias:
    """`standing`: what a form that was made now expects to find."""

    name: str
    standing: str
    log: list[Promotion]


@dataclass(frozen=True, slots=True)
class Refused:
    """A form of the page, what was filled in, and why it was refused. The error stands beside the form."""

    form: str
    filled: Form
    error: ForgeError


def model_router(parts: Parts) -> APIRouter:
    router = APIRouter()

    @router.get("/models/{name}")
    async def model_page(request: Request, name: ModelName, version: Chosen = "") -> Response:
        return await _page(parts, request, name, version)

    _add_moves(router, parts)
    _add_changes(router, parts)
    return router


def _add_moves(router: APIRouter, parts: Parts) -> None:
    @router.post("/models/{name}/promote")
    async def promote(request: Request, name: ModelName) -> Response:
        async def work(form: Form) -> Response:
            fields = given(form, "alias", "version", "why", "expected_version")
            asked = checked(PromoteAlias, fields | {"by": who(request)})
            moved = await parts.registry.promote(name, asked.alias, asked)
            return to_version(name, moved.to_version or "")

        return await _worked(parts, request, name, "aliases", work)

    @router.post("/models/{name}/rollback")
    async def rollback(request: Request, name: ModelName) -> Response:
        async def work(form: Form) -> Response:
            asked = checked(RollbackAlias, given(form, "alias", "why", "expected_version") | {"by": who(request)})
            moved = await parts.registry.rollback(name, asked.alias, asked)
            return to_version(name, moved.to_version or "")

        return await _worked(parts, request, name, "aliases", work)

    @router.post("/models/{name}/best")
    async def best(request: Request, name: ModelName) -> Response:
        async def work(form: Form) -> Response:
            stated = None if "forget" in form else checked(BestBy, given(form, "measurement", "higher"))
            await parts.registry.state_best(name, stated)
            return to_version(name, form.get("version", ""), "best")

        return await _worked(parts, request, name, "best", work)


def _add_changes(router: APIRouter, parts: Parts) -> None:
    @router.post("/models/{name}/tag")
    async def tag(request: Request, name: ModelName) -> Response:
        """A tag that is set, or with `remove` taken away."""

        async def work(form: Form) -> Response:
            fields = given(form, "tag", "value")
            tags = {} if "remove" in form else {fields["tag"]: fields["value"]}
            asked = checked(Retag, {"tags": tags, "remove": [form["remove"]] if "remove" in form else []})
            tagged = await parts.registry.tag(name, form.get("version", ""), asked.tags, asked.remove)
            return to_version(name, tagged.version, "tags")

        return await _worked(parts, request, name, "tags", work)

    @router.post("/models/{name}/delete")
    async def delete(request: Request, name: ModelName) -> Response:
        async def work(form: Form) -> Response:
            asked = checked(Delete, given(form, "why") | {"by": who(request)})
            gone = await parts.registry.delete(name, form.get("version", ""), asked)
            return to_version(name, gone.version)

        return await _worked(parts, request, name, "delete", work)


async def _worked(parts: Parts, request: Request, name: str, form: str, work: Work) -> Response:
    filled = await form_of(request)
    try:
        return await work(filled)
    except ForgeError as error:
        refused = Refused(form, filled, error)
        # Promotions name a version that they want; tags and deletion are forms of the one that is shown.
        shown = filled.get("version", "") if form in ("tags", "delete", "best") else ""
        return await _page(parts, request, name, shown, refused)


async def _page(parts: Parts, request: Request, name: str, which: str, refused: Refused | None = None) -> Response:
    model = await parts.registry.model(name)
    if refused is not None and which not in [one.version for one in model.versions]:
        which = ""  # the refusal says it
    shown = choosing.choose(model, which) if which else _newest(model)
    lineage: Lineage | None = None
    card = ""
    if shown is not None and shown.tombstone is None:
        lineage, card = await parts.registry.views.lineage(shown), await parts.registry.views.card(shown)
    log = (await parts.registry.log(name)).promotions
    alive = [one for one in model.versions if one.tombstone is None]
    return page(
        request, "model.html", 200 if refused is None else refused.error.http_status, model=model, alive=alive,
        shown=shown, aliases=_aliases(model, log), log=log[::-1], lineage=lineage, card=card, refused=refused,
        best_version=_best(model), numbers=sorted({one.name for each in alive for one in each.measurements}),
        measured=_measured(alive[:_SIDE_BY_SIDE]), columns=alive[:_SIDE_BY_SIDE],
    )  # fmt: skip


def _newest(model: ModelRecord) -> VersionRecord | None:
    return next((one for one in model.versions if one.tombstone is None), None)


def _best(model: ModelRecord) -> str:
    """Empty where nobody has said what that is, or no version has that measurement."""
    try:
        return choosing.choose(model, BEST).version
    except ForgeError:
        return ""


def _aliases(model: ModelRecord, log: Sequence[Promotion]) -> list[Alias]:
    names = dict.fromkeys([entry.alias for entry in log])
    return [
        Alias(name, model.aliases.get(name, ""), [entry for entry in log if entry.alias == name])
        for name in sorted(names)
    ]


def _measured(versions: Sequence[VersionRecord]) -> dict[str, list[Measurement | None]]:
    names = sorted({one.name for version in versions for one in version.measurements})
    return {name: [version.measured(name) for version in versions] for name in names}
