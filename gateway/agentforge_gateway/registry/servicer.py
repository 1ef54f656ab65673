"""The gRPC face: RegistryService, with the semantics of REST."""

from __future__ import annotations

from typing import Any, TypeVar

import grpc
import pydantic
from google.protobuf import json_format
from google.protobuf.message import Message

from agentforge.kit.errors import InvalidInput
from agentforge.v1 import registry_pb2 as pb
from agentforge.v1 import registry_pb2_grpc
from agentforge_gateway.protojson import to_json, violations_of_validation
from agentforge_gateway.registry.cleaning import CleanUp
from agentforge_gateway.registry.picture import svg
from agentforge_gateway.registry.records import BestBy, Delete, Promote, Register, Rollback
from agentforge_gateway.registry.registry import Registry
from agentforge_gateway.registry.versions import LATEST

SERVICE = pb.DESCRIPTOR.services_by_name["RegistryService"].full_name
Context = grpc.aio.ServicerContext[Any, Any]
M = TypeVar("M", bound=Message)
P = TypeVar("P", bound=pydantic.BaseModel)


class RegistryServicer(registry_pb2_grpc.RegistryServiceServicer):
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._views = registry.views

    async def RegisterModel(self, request: pb.RegisterModelRequest, context: Context) -> pb.RegisterModelResponse:
        version, created = await self._registry.register(request.name, _asked(Register, request))
        return pb.RegisterModelResponse(version=_said(version, pb.ModelVersion()), created=created)

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        return _said(await self._registry.page(request.page_size, request.page_token), pb.ListModelsResponse())

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        return pb.GetModelResponse(model=_said(await self._registry.model(request.name), pb.Model()))

    async def GetModelVersion(
        self, request: pb.GetModelVersionRequest, context: Context
    ) -> pb.GetModelVersionResponse:
        best = _asked(BestBy, request.best) if request.HasField("best") else None
        version = await self._registry.version(request.name, request.version or LATEST, best)
        return pb.GetModelVersionResponse(version=_said(version, pb.ModelVersion()))

    async def TagModelVersion(
        self, request: pb.TagModelVersionRequest, context: Context
    ) -> pb.TagModelVersionResponse:
        checked = _asked(Register, pb.RegisterModelRequest(source="x", tags=request.tags))
        which = request.version or LATEST
        version = await self._registry.tag(request.name, which, checked.tags, list(request.remove))
        return pb.TagModelVersionResponse(version=_said(version, pb.ModelVersion()))

    async def SetBest(self, request: pb.SetBestRequest, context: Context) -> pb.SetBestResponse:
        best = _asked(BestBy, request.best) if request.HasField("best") else None
        return pb.SetBestResponse(model=_said(await self._registry.state_best(request.name, best), pb.Model()))

    async def PromoteModel(self, request: pb.PromoteModelRequest, context: Context) -> pb.PromoteModelResponse:
        entry = await self._registry.promote(request.name, request.alias, _asked(Promote, request))
        return pb.PromoteModelResponse(promotion=_said(entry, pb.Promotion()))

    async def RollbackModel(self, request: pb.RollbackModelRequest, context: Context) -> pb.RollbackModelResponse:
        entry = await self._registry.rollback(request.name, request.alias, _asked(Rollback, request))
        return pb.RollbackModelResponse(promotion=_said(entry, pb.Promotion()))

    async def ListPromotions(
        self, request: pb.ListPromotionsRequest, context: Context
    ) -> pb.ListPromotionsResponse:
        return _said(await self._registry.log(request.name, request.alias), pb.ListPromotionsResponse())

    async def DeleteModelVersion(
        self, request: pb.DeleteModelVersionRequest, context: Context
    ) -> pb.DeleteModelVersionResponse:
        version = await self._registry.delete(request.name, request.version, _asked(Delete, request))
        return pb.DeleteModelVersionResponse(version=_said(version, pb.ModelVersion()))

    async def GetLineage(self, request: pb.GetLineageRequest, context: Context) -> pb.GetLineageResponse:
        version = await self._registry.version(request.name, request.version or LATEST)
        lineage = await self._views.lineage(version)
        return _said(lineage, pb.GetLineageResponse(svg=svg(lineage)))

    async def GetModelCard(self, request: pb.GetModelCardRequest, context: Context) -> pb.GetModelCardResponse:
        version = await self._registry.version(request.name, request.version or LATEST)
        return pb.GetModelCardResponse(markdown=await self._views.card(version))

    async def VerifyModel(self, request: pb.VerifyModelRequest, context: Context) -> pb.VerifyModelResponse:
        return _said(await self._registry.verify(request.name, request.version or LATEST), pb.VerifyModelResponse())

    async def StartReplay(self, request: pb.StartReplayRequest, context: Context) -> pb.StartReplayResponse:
        replay = await self._registry.start_replay(request.name, request.version or LATEST)
        return pb.StartReplayResponse(replay=_said(replay, pb.Replay()))

    async def GetReplay(self, request: pb.GetReplayRequest, context: Context) -> pb.GetReplayResponse:
        replay = await self._registry.replay(request.name, request.version or LATEST, request.run_id)
        return pb.GetReplayResponse(replay=_said(replay, pb.Replay()))

    async def CleanUpStorage(
        self, request: pb.CleanUpStorageRequest, context: Context
    ) -> pb.CleanUpStorageResponse:
        return _said(await self._views.clean_up(_asked(CleanUp, request)), pb.CleanUpStorageResponse())


def _asked(model: type[P], request: Message) -> P:
    """The request as the model that REST takes; fields that the model does not have are the call's own."""
    given = {name: value for name, value in to_json(request).items() if name in model.model_fields}
    try:
        return model.model_validate(given)
    except pydantic.ValidationError as error:
        raise InvalidInput.of(violations_of_validation(error.errors(include_url=False))) from None


def _said(model: pydantic.BaseModel, message: M) -> M:
    return json_format.ParseDict(model.model_dump(mode="json", exclude_none=True), message)
