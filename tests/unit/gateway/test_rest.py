"""REST over a real socket: runs, phases, problems, the token, streams."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import websockets
from websockets.asyncio.client import connect

from agentforge.kit.errors import InvalidInput
from agentforge_gateway.app import Gateway
from agentforge_gateway.settings import GatewaySettings

from .conftest import finished, http, sse, until, world_with

BODY = {"until_phase": "count", "no_reuse": True, "config": {"count": {"n": 20, "step_s": 0.02}}}


def test_runs_over_http(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world, world.gateway() as gateway, http(gateway) as client:
            planned = await client.post("/v1/runs:plan", json=BODY)
            assert planned.status_code == 200, planned.text
            assert planned.json()["violations"] == []
            assert planned.json()["plan"][1]["config"]["n"] == 20
            started = await client.post("/v1/runs", json={"run_id": "h1", **BODY})
            assert started.status_code == 201, started.text
            assert started.json()["state"] == "RUN_STATE_QUEUED"
            assert (await client.post("/v1/runs", json={"run_id": "h1", **BODY})).status_code == 200
            await finished(gateway, "h1")
            shown = (await client.get("/v1/runs/h1")).json()
            assert shown["phases"][1]["outputs"][0]["path"] == "runs/h1/count/output/text"
            named = (await client.post("/v1/runs", json=BODY)).json()["run_id"]
            assert (await client.post(f"/v1/runs/{named}:cancel", json={"reason": "no"})).status_code == 200
            assert (await finished(gateway, named)).state.value == "RUN_STATE_CANCELLED"
            assert (await client.post(f"/v1/runs/{named}:resume")).json()["state"] == "RUN_STATE_QUEUED"
            await finished(gateway, named)
            page = (await client.get("/v1/runs", params={"page_size": 1})).json()
            assert [run["run_id"] for run in page["runs"]] == [named]
            rest = {"page_size": 1, "page_token": page["next_page_token"]}
            last = (await client.get("/v1/runs", params=rest)).json()
            assert [run["run_id"] for run in last["runs"]] == ["h1"]
            assert last["next_page_token"] == ""
            none = await client.get("/v1/runs", params={"state": "RUN_STATE_FAILED"})
            assert none.json()["runs"] == []
            text = (await client.get("/metrics")).text
            assert 'agentforge_runs{state="succeeded"} 2' in text
            assert "<h1>" in (await client.get("/docs")).text
            assert "http" not in (await client.get("/docs")).text.replace("http-equiv", "")
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["phases"]["echo"]) == (200, "ok")
            assert "cannot be reached" in ready.json()["phases"]["leak"]

    asyncio.run(story())


def test_problems(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world, world.gateway() as gateway, http(gateway) as client:
            asked = [
                ("GET", "/v1/runs/none", None, 404, "UNKNOWN_RUN"),
                ("GET", "/v1/runs/a%2Fb", None, 404, "NOT_FOUND"),
                ("GET", "/v1/runs/" + "a" * 10_000, None, 422, "INVALID_VALUE"),
                ("GET", "/v1/runs/none/events", None, 404, "UNKNOWN_RUN"),
                ("GET", "/v1/runs?page_token=x", None, 422, "INVALID_PAGE_TOKEN"),
                ("GET", "/v1/phases/ecko", None, 404, "UNKNOWN_PHASE"),
                ("GET", "/v1/phases/leak/runs", None, 503, "PHASE_UNREACHABLE"),
                ("GET", "/nothing", None, 404, "NOT_FOUND"),
                ("DELETE", "/v1/runs", None, 405, "METHOD_NOT_ALLOWED"),
                ("POST", "/v1/runs", {"config": {"count": {"n": 0}}, "until_phase": "count"}, 422, "INVALID_VALUE"),
                ("POST", "/v1/runs", {"unknown": 1}, 422, "INVALID_VALUE"),
                ("POST", "/v1/phases/echo/runs", {"run_id": "p", "config": {"texd": 1}}, 422, "UNKNOWN_FIELD"),
            ]
            for method, path, body, status, reason in asked:
                answer = await client.request(method, path, json=body)
                problem = answer.json()
                assert (answer.status_code, problem["reason"]) == (status, reason), (path, problem)
                assert answer.headers["content-type"] == "application/problem+json"
                assert set(problem) >= {"type", "title", "status", "detail", "field", "next_step", "violations"}
            wrong = (
                await client.post("/v1/runs", json={"config": {"count": {"n": 0}}, "until_phase": "count"})
            ).json()
            assert wrong["violations"][0]["field"] == "count.n"
            for raw, status in ((b"{", 422), (b"[" * 100_000, 400), (b'{"preset":"\\ud800"}', 422), (b"\xff", 400)):
                answer = await client.post("/v1/runs", content=raw, headers={"content-type": "application/json"})
                assert answer.status_code in (status, 400, 422), answer.text
                assert "Traceback" not in answer.text
            assert (await client.post("/v1/runs", content=b"x" * (5 << 20))).status_code == 413

            async def endless():  # type: ignore[no-untyped-def]
                for _ in range(80):
                    yield b" " * (64 << 10)

            assert (await client.post("/v1/runs", content=endless())).status_code == 413
            for value in (
                "1e999",
                "-1e999",
                "NaN",
                "123456789012345678901234567890" * 20,
                '"\\u0000"',
                '"\\ud800"',
            ):
                raw = f'{{"until_phase":"echo","config":{{"echo":{{"repeat":{value}}}}}}}'
                answer = await client.post(
                    "/v1/runs", content=raw.encode(), headers={"content-type": "application/json"}
                )
                assert answer.status_code in (400, 422), (value, answer.text)

    asyncio.run(story())


def test_events_from_the_start_the_middle_and_live(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world, world.gateway(heartbeat_s=0.1) as gateway:
            async with http(gateway) as client:
                await client.post("/v1/runs", json={"run_id": "e", **BODY})
                await until(gateway, "e", lambda r: r.phases[1].progress is not None)
                live = [frame async for frame in sse(client, "/v1/runs/e/events")]
                ids = [int(frame["id"]) for frame in live if "id" in frame]
                assert ids == list(range(1, ids[-1] + 1))
                lines = (world.home / "runs/e/pipeline/events.jsonl").read_text().splitlines()
                assert [frame["data"] for frame in live if "id" in frame] == lines
                mark = next(i for i, frame in enumerate(live) if frame.get("event") == "caught_up")
                assert json.loads(live[mark]["data"])["sequence"] == mark
                assert json.loads(live[-1]["data"])["state_changed"]["state"] == "RUN_STATE_SUCCEEDED"
                later = [f async for f in sse(client, "/v1/runs/e/events?after=3", **{"Last-Event-ID": "7"})]
                assert [int(f["id"]) for f in later if "id" in f] == ids[7:]
                after = [f async for f in sse(client, "/v1/runs/e/events?after=5")]
                assert [int(f["id"]) for f in after if "id" in f] == ids[5:]
                alone = [f async for f in sse(client, "/v1/phases/count/runs/e/events")]
                own = (world.home / "runs/e/count/events.jsonl").read_text().splitlines()
                assert [f["data"] for f in alone if "id" in f] == own
                beyond = [f async for f in sse(client, "/v1/runs/e/events?after=99999")]
                assert [f.get("event") for f in beyond] == ["caught_up"]
                bad = await client.get("/v1/runs/e/events", headers={"Last-Event-ID": "x"})
                assert bad.json()["reason"] == "BAD_EVENT_ID"
            assert gateway.parts.tails.watchers == 0

    asyncio.run(story())


def test_websocket_gives_the_same(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world, world.gateway(token="s3cret") as gateway:
            allowed = {"Authorization": "Bearer s3cret"}
            async with http(gateway, **allowed) as client:
                assert (await client.post("/v1/runs", json={"run_id": "s", **BODY})).status_code == 201
            address = f"ws://{gateway.http_address}/v1/runs/s/ws"
            got = []
            async with connect(f"{address}?after=1", additional_headers=allowed) as socket:
                async for message in socket:
                    got += json.loads(message)["events"]
            logged = (world.home / "runs/s/pipeline/events.jsonl").read_text().splitlines()
            assert [event for event in got if event["sequence"]] == [json.loads(line) for line in logged[1:]]
            assert [e for e in got if "caught_up" in e]
            for url, headers, status in (
                (address, {}, 401),
                (address.replace("/s/", "/none/"), allowed, 404),
                (address + "?after=-1", allowed, 422),
            ):
                with pytest.raises(websockets.InvalidStatus) as refused:
                    await connect(url, additional_headers=headers)
                assert refused.value.response.status_code == status
                assert json.loads(refused.value.response.body or b"{}")["status"] == status

    asyncio.run(story())


def test_single_phases(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world, world.gateway() as gateway, http(gateway) as client:
            found = (await client.get("/v1/phases")).json()["phases"]
            assert [p["phase"] for p in found] == ["echo", "count", "fail", "leak"]
            assert found[0]["description"]["makes"][0]["kind"] == "text"
            assert found[3]["error"]["reason"] == "PHASE_UNREACHABLE"
            schema = (await client.get("/v1/phases/count")).json()["description"]["config_schema"]
            assert schema["properties"]["n"]["minimum"] == 1
            begun = await client.post("/v1/phases/echo/runs", json={"run_id": "one", "config": {"text": "hi"}})
            assert begun.status_code == 201, begun.text
            frames = [f async for f in sse(client, "/v1/phases/echo/runs/one/events")]
            assert "SUCCEEDED" in frames[-1]["data"]
            run = (await client.get("/v1/phases/echo/runs/one")).json()
            assert run["state"] == "RUN_STATE_SUCCEEDED"
            assert run["config"]["text"] == "hi"
            again = await client.post("/v1/phases/echo/runs", json={"run_id": "one", "config": {"text": "hi"}})
            assert again.status_code == 200
            other = await client.post("/v1/phases/echo/runs", json={"run_id": "one", "config": {"text": "ho"}})
            assert (other.status_code, other.json()["field"]) == (409, "run_id")
            assert len((await client.get("/v1/phases/echo/runs")).json()["runs"]) == 1
            assert (await client.post("/v1/phases/echo/runs/one:cancel")).status_code == 200

    asyncio.run(story())


def test_the_token_opens(place: Path) -> None:
    async def story() -> None:
        async with world_with(place) as world, world.gateway(token="s3cret") as gateway, http(gateway) as client:
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/readyz")).status_code == 200
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}):
                answer = await client.get("/v1/runs", headers=headers)
                assert (answer.status_code, answer.json()["reason"]) == (401, "UNAUTHENTICATED")
                assert answer.headers["www-authenticate"] == "Bearer"
            assert (await client.get("/v1/runs", headers={"Authorization": "Bearer s3cret"})).status_code == 200

    asyncio.run(story())


@pytest.mark.parametrize("field", ["listen", "grpc_listen"])
def test_no_token_no_exposure(place: Path, field: str) -> None:
    with pytest.raises(InvalidInput, match="token"):
        Gateway(GatewaySettings(home=place, **{field: "0.0.0.0:0"}))
    Gateway(GatewaySettings(home=place, insecure=True, **{field: "0.0.0.0:0"}))
    Gateway(GatewaySettings(home=place, token="x", **{field: "[::]:0"}))
