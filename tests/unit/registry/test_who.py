"""Whose name stands in the log of promotions: the token's, whatever its holder says of itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc

from agentforge.v1 import registry_pb2, registry_pb2_grpc
from tests.unit.gateway.conftest import http, world_with
from tests.unit.gateway.test_access import ROOT, bearer, token

from .making import model


def test_a_promotion_is_signed_by_its_token(place: Path) -> None:
    async def story() -> None:
        async with world_with(place) as world, world.gateway(token="r00t") as gateway, http(gateway) as client:
            model(world.home / "mine" / "a", "a")
            made = await client.post("/v1/models/m:register", json={"source": "mine/a"}, headers=ROOT)
            assert made.json()["create_by"] == "root"
            promotes = await token(client, "promote", "read")
            for number, by in enumerate(("", "the boss", "b" * 200, "t")):
                body = {"alias": f"a{number}", "version": "1.0.0", "by": by}
                answer = await client.post("/v1/models/m:promote", json=body, headers=bearer(promotes))
                assert answer.status_code == 200, answer.text
            log = []
            for number in range(4):
                answer = await client.get(f"/v1/models/m/promotions?alias=a{number}", headers=ROOT)
                log += answer.json()["promotions"]
            assert [one["who"] for one in log] == ["t", "the boss (token t)", f"{'b' * 140} (token t)", "t"]

    asyncio.run(story())


def test_by_grpc_too(place: Path) -> None:
    async def story() -> None:
        address = f"unix:{place}/grpc"
        async with (
            world_with(place) as world,
            world.gateway(token="r00t", grpc_listen=address) as gateway,
            http(gateway) as client,
        ):
            model(world.home / "mine" / "a", "a")
            promotes = await token(client, "promote", "run")
            call = (("authorization", bearer(promotes)["Authorization"]),)
            async with grpc.aio.insecure_channel(address) as channel:
                stub: Any = registry_pb2_grpc.RegistryServiceStub(channel)
                await stub.RegisterModel(
                    registry_pb2.RegisterModelRequest(name="m", source="mine/a"), metadata=call
                )
                request = registry_pb2.PromoteModelRequest(
                    name="m", alias="production", version="1.0.0", by="somebody else"
                )
                await stub.PromoteModel(request, metadata=call)
            log = (await client.get("/v1/models/m/promotions", headers=ROOT)).json()["promotions"]
            assert [one["who"] for one in log] == ["somebody else (token t)"]

    asyncio.run(story())
