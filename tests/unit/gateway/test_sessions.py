"""Browsers: log in, cookies, CSRF, foreign pages, headers that protect."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest
import websockets
from websockets.asyncio.client import connect

from agentforge_gateway.access import sessions
from agentforge_gateway.access.sessions import Sessions
from agentforge_gateway.app import Gateway

from .conftest import http, world_with

ROOT = {"Authorization": "Bearer r00t"}


async def logged_in(client: httpx.AsyncClient, secret: str = "r00t") -> tuple[dict[str, str], str]:
    """The session's cookie as a header, and its CSRF token."""
    answer = await client.post("/login", data={"token": secret, "next": "/runs/x"})
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/runs/x"
    said = answer.headers["set-cookie"]
    assert "HttpOnly" in said
    assert "SameSite=Strict" in said
    assert "Secure" not in said  # there is no TLS here
    client.cookies.clear()
    cookie = said.partition(";")[0]
    return {"Cookie": cookie}, Sessions("r00t").csrf(cookie.partition("=")[2])


def test_a_session(place: Path) -> None:
    async def story() -> None:
        async with world_with(place) as world, world.gateway(token="r00t") as gateway, http(gateway) as client:
            page = await client.get("/", headers={"Accept": "text/html"})
            assert (page.status_code, page.headers["location"]) == (303, "/login?next=/")
            assert (await client.get("/v1/runs", headers={"Accept": "text/html"})).status_code == 401
            assert (await client.post("/login", data={"token": "wrong"})).status_code == 401
            cookie, csrf = await logged_in(client)
            assert (await client.get("/v1/runs", headers=cookie)).status_code == 200
            new = {"name": "n", "scopes": ["read"]}
            bad = [{}, {"X-CSRF-Token": "x"}, {"X-CSRF-Token": Sessions("other").csrf("x")}]
            for headers in bad:
                answer = await client.post("/v1/tokens", json=new, headers=cookie | headers)
                assert (answer.status_code, answer.json()["reason"]) == (403, "CSRF")
            good = cookie | {"X-CSRF-Token": csrf}
            made = await client.post("/v1/tokens", json=new, headers=good)
            assert made.status_code == 201
            for strange in (
                {"Origin": "https://evil.example"},
                {"Origin": "null"},
                {"Sec-Fetch-Site": "cross-site"},
            ):
                answer = await client.post("/v1/tokens", json=new, headers=good | strange)
                assert (answer.status_code, answer.json()["reason"]) == (403, "FOREIGN_ORIGIN")
            form = await client.post("/runs/none/cancel", data={"csrf_token": csrf}, headers=cookie)
            assert form.status_code == 404  # it came through to the page
            assert (
                await client.post("/runs/none/cancel", data={"csrf_token": "x"}, headers=cookie)
            ).status_code == 403
            out = await client.post("/logout", headers=cookie)
            assert "Max-Age=0" in out.headers["set-cookie"]
            await _ends_with_its_token(client, made.json())

    asyncio.run(story())


async def _ends_with_its_token(client: httpx.AsyncClient, made: dict[str, str]) -> None:
    cookie, _ = await logged_in(client, made["secret"])
    assert (await client.get("/v1/runs", headers=cookie)).status_code == 200
    assert (await client.get("/v1/tokens", headers=cookie)).status_code == 403
    assert (await client.delete(f"/v1/tokens/{made['token_id']}", headers=ROOT)).status_code == 200
    assert (await client.get("/v1/runs", headers=cookie)).status_code == 401


def test_cookies_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Sessions("r00t")
    good = mine.begin("t-1")
    assert mine.token_id(good) == "t-1"
    assert Sessions("another root").token_id(good) == ""
    for bad in ("", "x", "a.b.c", good[:-1], good.replace("t-1", "root"), "é" * 100, "." * 5000, good + "x"):
        assert mine.token_id(bad) == "", bad
    monkeypatch.setattr(sessions.time, "time", lambda: __import__("time").monotonic() + 1e12)
    assert mine.token_id(good) == ""  # over


@pytest.mark.parametrize(
    "then", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/\n"]
)
def test_nobody_is_sent_elsewhere(place: Path, then: str) -> None:
    async def story() -> None:
        async with world_with(place) as world, world.gateway(token="r00t") as gateway, http(gateway) as client:
            answer = await client.post("/login", data={"token": "r00t", "next": then})
            assert answer.headers["location"] == "/"
            page = (await client.get("/login", params={"next": f'"><script>{then}'})).text
            assert "<script" not in page

    asyncio.run(story())


def test_websockets_of_foreign_pages(place: Path) -> None:
    async def story() -> None:
        async with (
            world_with(place, "echo") as world,
            world.gateway(token="r00t") as gateway,
            http(gateway) as client,
        ):
            run = {"run_id": "w", "until_phase": "echo"}
            assert (await client.post("/v1/runs", json=run, headers=ROOT)).status_code == 201
            cookie, _ = await logged_in(client)
            address = f"ws://{gateway.http_address}/v1/runs/w/ws"
            own = f"http://{gateway.http_address}"
            async with connect(address, additional_headers=cookie, origin=own) as socket:  # type: ignore[arg-type]
                assert "events" in str(await socket.recv())
            with pytest.raises(websockets.InvalidStatus) as refused:
                await connect(address, additional_headers=cookie, origin="http://evil.example")  # type: ignore[arg-type]
            assert refused.value.response.status_code == 403

    asyncio.run(story())


def test_an_open_gateway_is_for_this_machine(place: Path) -> None:
    """Without a token, a page elsewhere must not be able to use it through the user's browser."""

    async def story() -> None:
        async with world_with(place) as world, world.gateway() as gateway, http(gateway) as client:
            assert (await client.get("/v1/runs")).status_code == 200
            answer = await client.get("/v1/runs", headers={"Host": "evil.example"})  # a name pointed to 127.0.0.1
            assert (answer.status_code, answer.json()["reason"]) == (403, "BAD_HOST")
            answer = await client.post("/v1/runs/x:cancel", headers={"Origin": "http://evil.example"})
            assert (answer.status_code, answer.json()["reason"]) == (403, "FOREIGN_ORIGIN")
            assert (await client.post("/v1/runs/x:cancel")).status_code == 404

    asyncio.run(story())


def test_headers(place: Path) -> None:
    async def story() -> None:
        async with world_with(place) as world, world.gateway(token="r00t") as gateway, http(gateway) as client:
            await _protected(gateway, client)

    asyncio.run(story())


async def _protected(gateway: Gateway, client: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/login", "/docs", "/v1/runs", "/nothing", "/", "/openapi.json"):
        headers = (await client.get(path, headers=ROOT)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        scripts = re.search(r"script-src ([^;]*)", policy)
        assert scripts is None or scripts[1].strip() == "'self'", path
    for path in ("/login", "/docs"):
        assert "unsafe-inline" not in (await client.get(path, headers=ROOT)).headers["content-security-policy"]
    assert gateway.parts.access.closed
