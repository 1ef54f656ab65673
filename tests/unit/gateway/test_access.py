"""Who gets in, what each may, and what is written down. Over real sockets, REST and gRPC."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from starlette.routing import Route

from agentforge.client import forge_error
from agentforge.v1 import pipeline_pb2, pipeline_pb2_grpc
from agentforge_gateway.access.scopes import ROUTES, RPCS, Scope, route
from agentforge_gateway.api import build_app
from tests.postgres import everything_in

from .conftest import http, until, world_with

ROOT = {"Authorization": "Bearer r00t"}
BODY = {"until_phase": "echo", "no_reuse": True}


async def token(client: httpx.AsyncClient, *scopes: str, **more: Any) -> dict[str, Any]:
    made = await client.post("/v1/tokens", json={"name": "t", "scopes": scopes, **more}, headers=ROOT)
    assert made.status_code == 201, made.text
    return dict(made.json())


def bearer(made: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {made['secret']}"}


def routes_of(router: Any, prefix: str = "") -> list[str]:
    """All that the app has, whether its routers are nested or flat."""
    found = []
    for one in router.routes:
        if isinstance(one, APIWebSocketRoute):
            found.append(f"WS {prefix}{one.path}")
        elif isinstance(one, APIRoute | Route):
            found += [f"{method} {prefix}{one.path}" for method in (one.methods or ()) if method != "HEAD"]
        elif hasattr(one, "original_router"):
            found += routes_of(one.original_router, prefix)
        else:
            raise AssertionError(f"a route of a kind that this test does not know: {one!r}")
    return found


def rpcs_of(address: str) -> set[str]:
    """All of agentforge's that the server has, by reflection."""
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        names = [name for name in database.get_services() if name.startswith("agentforge.")]
        pool = DescriptorPool(database)
        services = [pool.FindServiceByName(name) for name in names]
        return {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}


def test_every_route_and_every_rpc_has_an_entry(place: Path) -> None:
    async def story() -> None:
        address = f"unix:{place}/g.s"
        async with world_with(place) as world, world.gateway(grpc_listen=address) as gateway:
            found = set(routes_of(build_app(gateway.parts).router))
            assert found == set(ROUTES), found ^ set(ROUTES)
            served = await asyncio.to_thread(rpcs_of, address)
            assert served
            assert served <= set(RPCS), served - set(RPCS)

    asyncio.run(story())


def test_a_route_without_an_entry_is_refused() -> None:
    assert route("GET", "/v1/secret") is None
    assert route("POST", "/v1/runs/x:cancel").scope is Scope.RUN  # type: ignore[union-attr]
    assert route("POST", "/v1/runs:plan").scope is Scope.READ  # type: ignore[union-attr]
    assert route("POST", "/v1/models/a:promote").scope is Scope.PROMOTE  # type: ignore[union-attr]


def test_scopes(place: Path) -> None:
    async def story() -> None:
        async with (
            world_with(place, "echo") as world,
            world.gateway(token="r00t") as gateway,
            http(gateway) as client,
        ):
            reads, runs, admin = [await token(client, scope) for scope in ("read", "run", "admin")]
            for who in (reads, runs, admin):  # whoever may anything may read
                assert (await client.get("/v1/runs", headers=bearer(who))).status_code == 200
            for who, status in ((reads, 403), (admin, 403), (runs, 201)):
                answer = await client.post("/v1/runs", json=BODY, headers=bearer(who))
                assert answer.status_code == status, answer.text
            assert answer.json()["run_id"]
            for method, path in (("GET", "/v1/tokens"), ("GET", "/v1/audit"), ("POST", "/v1/tokens")):
                answer = await client.request(
                    method, path, headers=bearer(runs), json={"name": "x", "scopes": ["run"]}
                )
                assert (answer.status_code, answer.json()["reason"]) == (403, "SCOPE_NEEDED")
            assert (await client.get("/v1/tokens", headers=bearer(admin))).status_code == 200
            assert (await client.get("/v1/nothing", headers=bearer(reads))).status_code == 404
            assert (
                await client.get("/v1/nothing")
            ).status_code == 401  # what is there is told to those who may ask
            entries = (await client.get("/v1/audit", headers=ROOT)).json()["entries"]
            told = {(one["action"], one["outcome"]) for one in entries}
            assert {("POST /v1/runs", "403 SCOPE_NEEDED"), ("POST /v1/runs", "201")} <= told
            done = next(one for one in entries if one["outcome"] == "201" and one["action"] == "POST /v1/runs")
            assert (done["token_id"], done["address"]) == (runs["token_id"], "127.0.0.1")
            assert done["subject"].startswith("run-")
            assert not any(one["secret"] in str(entries) for one in (reads, runs, admin))

    asyncio.run(story())


def test_credentials_that_do_not_open(place: Path, database_url: str) -> None:
    async def story() -> None:
        async with world_with(place) as world, world.gateway(token="r00t") as gateway, http(gateway) as client:
            gone, late, good = (
                await token(client, "read"),
                await token(client, "read", expires_in_s=1),
                await token(client, "read"),
            )
            for _ in range(2):  # the second revocation changes nothing
                path = f"/v1/tokens/{gone['token_id']}"
                answers = await asyncio.gather(*(client.delete(path, headers=ROOT) for _ in range(2)))
                assert [one.status_code for one in answers] == [200, 200]
                assert len({one.json()["revoke_time"] for one in answers}) == 1
            await asyncio.sleep(1.1)
            mine = bearer(good)["Authorization"]
            wrong = {
                bearer(gone)["Authorization"]: "revoked",
                bearer(late)["Authorization"]: "expired",
                "Bearer": "Bearer",
                "Basic cjAwdDo=": "Bearer",
                "Bearer r00": "wrong",
                "Bearer r00t2": "wrong",
                f"Bearer {'a' * 10_240}": "wrong",
                f"{mine}x": "wrong",
                mine[:-1]: "wrong",
                "Bearer af_" + "é" * 43: "wrong",
                "Bearer ' or 1=1 --": "wrong",
            }
            for header, why in wrong.items():
                answer = await client.get("/v1/runs", headers=[(b"authorization", header.encode())])
                assert (answer.status_code, answer.json()["reason"]) == (401, "UNAUTHENTICATED"), header[:40]
                assert why in answer.json()["detail"], answer.text
            assert (await client.get("/v1/runs", headers=bearer(good))).status_code == 200
            assert (await client.delete("/v1/tokens/t-0000000000000000", headers=ROOT)).status_code == 404
            listed = (await client.get("/v1/tokens", headers=ROOT)).json()["tokens"]
            assert all("secret" not in one and "hash" not in one for one in listed)
            used = next(one for one in listed if one["token_id"] == good["token_id"])
            assert used["last_used_time"]
            stored = b"".join(file.read_bytes() for file in world.home.glob("gateway.db*"))
            stored += everything_in(database_url) if database_url else b""
            assert good["secret"].encode() not in stored
            assert good["token_id"].encode() in stored
            reads = {"name": "x", "scopes": ["read"]}
            changes = [{"name": ""}, {"name": "a\nb"}, {"name": "x" * 101}, {"scopes": []}, {"scopes": ["all"]}]
            for body in [reads | change for change in [*changes, {"expires_in_s": 0}]]:
                assert (await client.post("/v1/tokens", json=body, headers=ROOT)).status_code == 422, body
            html = await client.post("/v1/tokens", json={"name": "<b>é</b>", "scopes": ["read"]}, headers=ROOT)
            assert html.json()["name"] == "<b>é</b>"

    asyncio.run(story())


def test_limits(place: Path) -> None:
    async def story() -> None:
        given = {"token": "r00t", "token_rate_per_s": 0.5, "token_burst": 3, "token_at_once": 2}
        async with (
            world_with(place, "echo", "count") as world,
            world.gateway(**given) as gateway,
            http(gateway) as client,
        ):
            one, two = await token(client, "read"), await token(client, "read")
            statuses = [(await client.get("/v1/runs", headers=bearer(one))).status_code for _ in range(4)]
            assert statuses == [200, 200, 200, 429]
            refused = await client.get("/v1/runs", headers=bearer(one))
            assert int(refused.headers["retry-after"]) >= 1
            slow = {"run_id": "s", "until_phase": "count", "config": {"count": {"n": 500, "step_s": 0.02}}}
            assert (await client.post("/v1/runs", json=slow, headers=ROOT)).status_code == 201
            async with (
                client.stream("GET", "/v1/runs/s/events", headers=bearer(two)) as first,
                client.stream("GET", "/v1/runs/s/events", headers=bearer(two)) as second,
            ):
                assert (first.status_code, second.status_code) == (200, 200)
                answer = await client.get("/v1/runs", headers=bearer(two))
                assert (answer.status_code, answer.json()["reason"]) == (429, "TOO_MANY_AT_ONCE")
            async with asyncio.timeout(10):
                while (await client.get("/v1/runs", headers=bearer(two))).json().get(
                    "reason"
                ) == "TOO_MANY_AT_ONCE":
                    await asyncio.sleep(0.05)
            await client.post("/v1/runs/s:cancel", headers=ROOT)
            await until(gateway, "s", lambda run: run.state.final)

    asyncio.run(story())


def test_rpcs(place: Path) -> None:
    async def story() -> None:
        address = f"unix:{place}/g.s"
        async with (
            world_with(place, "echo") as world,
            world.gateway(token="r00t", grpc_listen=address, token_rate_per_s=0.1, token_burst=4) as gateway,
            http(gateway) as client,
            grpc.aio.insecure_channel(address) as channel,
        ):
            reads = await token(client, "read")
            stub: Any = pipeline_pb2_grpc.PipelineServiceStub(channel)
            as_reader = (("authorization", f"Bearer {reads['secret']}"),)
            await stub.ListPipelines(pipeline_pb2.ListPipelinesRequest(), metadata=as_reader)
            start = pipeline_pb2.StartPipelineRequest(
                run_id="g", spec=pipeline_pb2.PipelineSpec(until_phase="echo")
            )
            for metadata, code in ((as_reader, "PERMISSION_DENIED"), ((), "UNAUTHENTICATED"),
                                   ((("authorization", "Bearer " + "x" * 5000),), "UNAUTHENTICATED")):  # fmt: skip
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stub.StartPipeline(start, metadata=metadata)
                assert caught.value.code().name == code
            await stub.StartPipeline(start, metadata=(("authorization", "Bearer r00t"),))
            with pytest.raises(grpc.aio.AioRpcError) as caught:  # noqa: PT012 - one of the five
                for _ in range(5):
                    await stub.ListPipelines(pipeline_pb2.ListPipelinesRequest(), metadata=as_reader)
            assert (caught.value.code().name, forge_error(caught.value).reason) == (
                "RESOURCE_EXHAUSTED",
                "RATE_LIMITED",
            )
            entries = (await client.get("/v1/audit", headers=ROOT)).json()["entries"]
            mine = [
                (e["token_name"], e["subject"], e["outcome"]) for e in entries if "StartPipeline" in e["action"]
            ]
            assert ("root", "g", "OK") in mine
            assert ("t", "", "SCOPE_NEEDED") in mine

    asyncio.run(story())


def test_the_audit_log_is_paged(place: Path) -> None:
    async def story() -> None:
        async with world_with(place) as world, world.gateway(token="r00t") as gateway, http(gateway) as client:
            for _ in range(5):
                await token(client, "read")
            first = (await client.get("/v1/audit?page_size=3", headers=ROOT)).json()
            rest = (await client.get(f"/v1/audit?page_size=3&before={first['next_before']}", headers=ROOT)).json()
            numbers = [one["number"] for one in first["entries"] + rest["entries"]]
            assert numbers == sorted(numbers, reverse=True)
            assert len(numbers) == 5
            assert rest["next_before"] is None

    asyncio.run(story())
