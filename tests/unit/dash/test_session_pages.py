"""Pages of a gateway with tokens: forms carry the session's CSRF token, and are refused without it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from tests.unit.gateway.conftest import finished, until

from .looking import looking, read, shown

ROOT = {"Authorization": "Bearer r00t"}


async def _log_in(client: httpx.AsyncClient, secret: str = "r00t") -> None:
    client.cookies.clear()
    answer = await client.post("/login", data={"token": secret, "next": "/start"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/start")


def test_forms_of_a_session(place: Path) -> None:
    async def story() -> None:
        async with looking(place, "echo", "count", token="r00t") as (_, gateway, client):
            away = await client.get("/models")
            assert (away.status_code, away.headers["location"]) == (303, "/login?next=/models")
            refused = read(await client.post("/start", data={"preset": "tiny"}), 401)
            assert "/login?next=/" in refused.addresses
            await _log_in(client)
            form = await shown(client, "/start")
            csrf = form.fields["csrf_token"]
            assert "/logout" in form.addresses
            body = {"preset": "tiny", "run_id": "r", "until_phase": "count", "set.count.n": "100000"}
            body |= {"set.count.step_s": "0.01"}
            for bad in ({}, {"csrf_token": ""}, {"csrf_token": "x"}, {"form_token": csrf}):
                page = read(await client.post("/start", data=body | bad), 403)
                assert "CSRF" in page.text
            assert (await client.get("/v1/runs/r")).status_code == 404
            answer = await client.post("/start", data=body | {"csrf_token": csrf})
            assert (answer.status_code, answer.headers["location"]) == (303, "/runs/r")
            await until(gateway, "r", lambda run: run.phase("count").progress is not None)
            page = await shown(client, "/runs/r")
            assert page.fields == {"csrf_token": csrf}
            assert (await client.post("/runs/r/cancel")).status_code == 403
            assert (await client.post("/runs/r/cancel", data=page.fields)).status_code == 303
            await finished(gateway, "r")
            for path in ("/models", "/play"):
                assert (await shown(client, path)).fields["csrf_token"] == csrf
            headers = {"X-CSRF-Token": csrf, "Accept": "application/json"}
            said = await client.post("/play/say", data={"model": "none", "prompt": "x"}, headers=headers)
            assert said.json()["reason"] == "UNKNOWN_MODEL"  # a script may send it as a header
            assert (await client.post("/logout")).headers["location"] == "/login"

    asyncio.run(story())


def test_what_a_reader_may_not(place: Path) -> None:
    async def story() -> None:
        async with looking(place, "echo", token="r00t") as (_, _gateway, client):
            made = await client.post("/v1/tokens", json={"name": "reader", "scopes": ["read"]}, headers=ROOT)
            await _log_in(client, made.json()["secret"])
            token = (await shown(client, "/models")).fields
            for path in (
                "/start",
                "/models",
                "/models/m/promote",
                "/models/m/rollback",
                "/models/m/tag",
                "/models/m/best",
                "/models/m/delete",
                "/play/say",
                "/runs/r/cancel",
            ):
                page = read(await client.post(path, data=token | {"name": "m", "source": "x"}), 403)
                assert "SCOPE_NEEDED" in page.text, path
            for path in ("/cognate/run", "/evomerge/evolve"):
                assert (await client.post(path, json={})).status_code == 403
            for path in ("/", "/start", "/compare", "/models", "/play"):
                await shown(client, path)

    asyncio.run(story())


def test_an_open_gateway_needs_no_token_in_its_forms(place: Path) -> None:
    async def story() -> None:
        async with looking(place) as (_, _gateway, client):
            page = await shown(client, "/start")
            assert "csrf_token" not in page.fields
            assert "/logout" not in page.addresses
            answer = await client.post("/runs/r/resume")
            assert "UNKNOWN_RUN" in read(answer, 404).text  # it came through
            foreign = await client.post("/runs/r/resume", headers={"Origin": "http://evil.example"})
            assert "FOREIGN_ORIGIN" in read(foreign, 403).text

    asyncio.run(story())
