"""The REST face: models. `version` is a number, an alias, `latest` (the default) or `best`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field
from starlette.responses import StreamingResponse

from agentforge_gateway import problems
from agentforge_gateway.api_models import RunId
from agentforge_gateway.models import Model
from agentforge_gateway.parts import Parts
from agentforge_gateway.registry.checks import Replay, Verified
from agentforge_gateway.registry.cleaning import CleanedUp, CleanUp
from agentforge_gateway.registry.lineage import Lineage
from agentforge_gateway.registry.picture import svg
from agentforge_gateway.registry.records import (
    BestBy,
    Delete,
    Log,
    ModelPage,
    ModelRecord,
    Promote,
    Promotion,
    Register,
    Rollback,
    Tags,
    VersionRecord,
)
from agentforge_gateway.registry.registry import Registry
from agentforge_gateway.registry.tarring import tar_stream
from agentforge_gateway.registry.versions import LATEST

ModelName = Annotated[str, Path(max_length=1000, description="Letters, digits, '.', '_' and '-', at most 64.")]
Which = Annotated[str, Query(max_length=1000, description="A number, an alias, latest or best.")]
Number = Annotated[str, Path(max_length=1000, description="A number, an alias, latest or best.")]
_REFUSALS = problems.documented(404, 409)
_NO_SCRIPTS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


class PromoteAlias(Promote):
    alias: Annotated[str, Field(max_length=1000, description="Such as production.")]


class RollbackAlias(Rollback):
    alias: Annotated[str, Field(max_length=1000)]


class Retag(Model):
    tags: Tags = Field(default_factory=dict)
    remove: Annotated[list[str], Field(max_length=64)] = Field(default_factory=list)


def registry_router(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["models"])
    _add_names(router, parts.registry)
    _add_aliases(router, parts.registry)
    _add_views(router, parts.registry)
    _add_checks(router, parts.registry)
    return router


def _add_names(router: APIRouter, registry: Registry) -> None:
    @router.get("/v1/models", responses=problems.documented())
    async def list_models(
        page_size: Annotated[int, Query(ge=0, le=1000, description="0: 100.")] = 0,
        page_token: Annotated[str, Query(max_length=1000)] = "",
    ) -> ModelPage:
        """By name, each with its versions."""
        return await registry.page(page_size, page_token)

    @router.get("/v1/models/{name}", responses=_REFUSALS)
    async def get_model(name: ModelName) -> ModelRecord:
        return await registry.model(name)

    @router.post(
        "/v1/models/{name}:register",
        status_code=201,
        responses={200: {"model": VersionRecord}, **problems.documented(404, 409, 507)},
    )
    async def register_model(name: ModelName, request: Register, response: Response) -> VersionRecord:
        """A new version of a model; 200 and the version that is there when the same artifact has this name."""
        version, created = await registry.register(name, request)
        response.status_code = 201 if created else 200
        return version

    @router.get("/v1/models/{name}/versions/{version}", responses=_REFUSALS)
    async def get_version(
        name: ModelName,
        version: Number,
        measurement: Annotated[str, Query(max_length=256, description="For best: by this one.")] = "",
        higher: bool = True,
    ) -> VersionRecord:
        best = BestBy(measurement=measurement, higher=higher) if measurement else None
        return await registry.version(name, version, best)

    @router.patch("/v1/models/{name}/versions/{version}/tags", responses=_REFUSALS)
    async def tag_version(name: ModelName, version: Number, request: Retag) -> VersionRecord:
        return await registry.tag(name, version, request.tags, request.remove)

    @router.delete("/v1/models/{name}/versions/{version}", responses=_REFUSALS)
    async def delete_version(name: ModelName, version: Number, request: Delete | None = None) -> VersionRecord:
        """A tombstone. What an alias points to, or what that descends from, is refused."""
        return await registry.delete(name, version, request or Delete())


def _add_aliases(router: APIRouter, registry: Registry) -> None:
    @router.post("/v1/models/{name}:promote", responses=_REFUSALS)
    async def promote_model(name: ModelName, request: PromoteAlias) -> Promotion:
        """Move an alias: a new entry of its log."""
        return await registry.promote(name, request.alias, request)

    @router.post("/v1/models/{name}:rollback", responses=_REFUSALS)
    async def rollback_model(name: ModelName, request: RollbackAlias) -> Promotion:
        """A new entry that restores what stood before; it can be rolled back itself."""
        return await registry.rollback(name, request.alias, request)

    @router.get("/v1/models/{name}/promotions", responses=_REFUSALS)
    async def list_promotions(name: ModelName, alias: Annotated[str, Query(max_length=1000)] = "") -> Log:
        """Oldest first; of one alias, or of all."""
        return await registry.log(name, alias)

    @router.put("/v1/models/{name}/best", responses=_REFUSALS)
    async def state_best(name: ModelName, best: BestBy) -> ModelRecord:
        """Say what `best` means for this model."""
        return await registry.state_best(name, best)

    @router.delete("/v1/models/{name}/best", responses=_REFUSALS)
    async def forget_best(name: ModelName) -> ModelRecord:
        return await registry.state_best(name, None)


def _add_views(router: APIRouter, registry: Registry) -> None:
    @router.get("/v1/models/{name}/lineage", responses=_REFUSALS)
    async def model_lineage(name: ModelName, version: Which = LATEST) -> Lineage:
        """All that it descends from, to the first."""
        return await registry.views.lineage(await registry.version(name, version))

    @router.get("/v1/models/{name}/lineage.svg", response_class=Response, responses=_REFUSALS)
    async def model_lineage_picture(name: ModelName, version: Which = LATEST) -> Response:
        picture = svg(await registry.views.lineage(await registry.version(name, version)))
        return Response(picture, media_type="image/svg+xml", headers=_NO_SCRIPTS)

    @router.get("/v1/models/{name}/card", response_class=Response, responses=_REFUSALS)
    async def model_card(name: ModelName, version: Which = LATEST) -> Response:
        """The model card, as Hugging Face reads it."""
        text = await registry.views.card(await registry.version(name, version))
        return Response(text, media_type="text/markdown; charset=utf-8", headers=_NO_SCRIPTS)

    @router.get("/v1/models/{name}/export", response_class=Response, responses=_REFUSALS)
    async def export_model(name: ModelName, version: Which = LATEST) -> Response:
        """A tar: the same version and tags give the same bytes. It ends early where a file is not what it was."""
        found = await registry.version(name, version)
        top = f"{found.name}-{found.version}"
        stream: Iterator[bytes] = tar_stream(top, await registry.views.export(found))
        headers = {"Content-Disposition": f'attachment; filename="{top}.tar"', **_NO_SCRIPTS}
        return StreamingResponse(stream, media_type="application/x-tar", headers=headers)


def _add_checks(router: APIRouter, registry: Registry) -> None:
    @router.post("/v1/models/{name}/verify", responses=_REFUSALS)
    async def verify_model(name: ModelName, version: Which = LATEST) -> Verified:
        """Read every file again; `ok` is false where one is not what was registered."""
        return await registry.verify(name, version)

    @router.post("/v1/models/{name}/replays", status_code=201, responses=_REFUSALS)
    async def start_replay(name: ModelName, version: Which = LATEST) -> Replay:
        """Do the run that made it once more, under a new id."""
        return await registry.start_replay(name, version)

    @router.get("/v1/models/{name}/replays/{run_id}", responses=_REFUSALS)
    async def get_replay(name: ModelName, run_id: RunId, version: Which = LATEST) -> Replay:
        """`equal` is there when the run is final."""
        return await registry.replay(name, version, run_id)

    @router.post("/v1/storage:clean-up", responses=problems.documented(409))
    async def clean_up(request: CleanUp | None = None) -> CleanedUp:
        """List what nobody needs, with its bytes; with dry_run false, remove it."""
        return await registry.views.clean_up(request or CleanUp())
