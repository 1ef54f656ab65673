"""The registry over REST, on real runs, both databases."""

from __future__ import annotations

import asyncio
import io
import tarfile
from pathlib import Path
from typing import Any

import httpx

from tests.postgres import ON_BOTH
from tests.unit.gateway.conftest import World, finished, http, spec, world_with

from .making import adapter, model

HTML = "<script>alert('x')</script>"


async def _register(client: httpx.AsyncClient, name: str, source: str, **more: Any) -> httpx.Response:
    return await client.post(f"/v1/models/{name}:register", json={"source": source, **more})


def _models(world: World, *fills: str) -> None:
    for fill in fills:
        model(world.home / "mine" / fill, fill)


@ON_BOTH
def test_versions_aliases_and_their_log(place: Path) -> None:
    async def story() -> None:
        async with world_with(place) as world, world.gateway() as one, world.gateway() as two:  # noqa: SIM117 - too long for one line
            async with http(one) as client, http(two) as other:
                _models(world, "a", "b", "c")
                model(world.home / "mine" / "wide", "w", a=[9])
                for fill, number in (("a", "1.0.0"), ("b", "1.0.1"), ("wide", "2.0.0")):
                    made = await _register(client, "m", f"mine/{fill}", tags={"k": HTML}, description=HTML)
                    assert (made.status_code, made.json()["version"]) == (201, number), made.text
                again = await _register(other, "m", "mine/a")
                assert (again.status_code, again.json()["version"]) == (200, "1.0.0")
                taken = await _register(client, "m", "mine/c", version="1.0.0")
                assert taken.json()["reason"] == "VERSION_TAKEN"
                early = await _register(client, "m", "mine/c", version="3.0.0-rc.1")
                assert early.status_code == 201
                assert (await client.get("/v1/models/m/versions/latest")).json()["version"] == "2.0.0"
                body = {"alias": "production", "version": "1.0.0", "expected_version": "", "by": HTML, "why": HTML}
                answers = await asyncio.gather(
                    *(c.post("/v1/models/m:promote", json=body) for c in (client, other) * 4)
                )
                assert sorted(a.status_code for a in answers) == [200] + [409] * 7
                moves = [{"alias": "production", "version": v} for v in ("1.0.1", "2.0.0", "1.0.0") * 4]
                many = await asyncio.gather(
                    *(
                        c.post("/v1/models/m:promote", json=m)
                        for m, c in zip(moves, (client, other) * 6, strict=True)
                    )
                )
                assert {a.status_code for a in many} <= {200, 409}
                log = (await client.get("/v1/models/m/promotions")).json()["promotions"]
                assert [e["number"] for e in log] == list(range(1, len(log) + 1))
                assert [e["from_version"] for e in log[1:]] == [e["to_version"] for e in log[:-1]]
                back = await other.post("/v1/models/m:rollback", json={"alias": "production"})
                assert back.json()["to_version"] == log[-1]["from_version"]
                undone = await other.post(
                    "/v1/models/m:rollback", json={"alias": "production", "entry": len(log) + 1}
                )
                assert undone.json()["to_version"] == log[-1]["to_version"]

    asyncio.run(story())


def test_refusals(place: Path) -> None:
    async def story() -> None:
        async with world_with(place) as world, world.gateway() as gateway, http(gateway) as client:
            _models(world, "a")
            await _register(client, "m", "mine/a")
            for name in ("größe", "n" * 300, ".x"):
                assert (await _register(client, name, "mine/a")).json()["reason"] == "INVALID_NAME"
            assert (await client.post("/v1/models/a%2Fb:register", json={"source": "x"})).status_code == 404
            for source, reason in (
                ("../x", "PATH_OUTSIDE_VOLUME"),
                ("/etc/passwd", "PATH_OUTSIDE_VOLUME"),
                ("mine/none", "ARTIFACT_NOT_FOUND"),
                ("runs/x/y", "NOT_AN_OUTPUT"),
                ("nobody", "RUN_NOT_FINISHED"),
                ("imports/../gateway.db", "PATH_OUTSIDE_VOLUME"),
            ):
                assert (await _register(client, "m", source)).json()["reason"] == reason, source
            assert (await _register(client, "m", "mine/a\0")).status_code == 422
            for path, body, reason in (
                ("m:promote", {"alias": "latest", "version": "1.0.0"}, "COMPUTED_ALIAS"),
                ("m:promote", {"alias": "p", "version": "9.9.9"}, "UNKNOWN_VERSION"),
                ("none:promote", {"alias": "p", "version": "1.0.0"}, "UNKNOWN_MODEL"),
                ("m:rollback", {"alias": "p"}, "UNKNOWN_ALIAS"),
            ):
                assert (await client.post(f"/v1/models/{path}", json=body)).json()["reason"] == reason
            best = await client.get("/v1/models/m/versions/best")
            assert best.json()["reason"] == "BEST_NOT_STATED"
            await client.post("/v1/models/m:promote", json={"alias": "p", "version": "1.0.0"})
            past = await client.post("/v1/models/m:rollback", json={"alias": "p"})
            assert (past.status_code, past.json()["reason"]) == (409, "NOTHING_TO_ROLL_BACK")

    asyncio.run(story())


def test_runs_lineage_replay_best_and_clean_up(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world, world.gateway() as gateway:  # noqa: SIM117 - too long
            async with http(gateway) as client:
                for run_id, n in (("r1", 20), ("r2", 30), ("spare", 5)):
                    await gateway.parts.runs.start(run_id, spec(count={"n": n}))
                    assert (await finished(gateway, run_id)).state.value == "RUN_STATE_SUCCEEDED"
                for run_id, number in (("r1", "1.0.0"), ("r2", "1.1.0")):
                    made = await _register(client, "m", f"{run_id}:count/text")
                    assert made.json()["version"] == number, made.text
                assert (await _register(client, "parent", "r1:echo")).status_code == 201
                best = {"measurement": "count/steps", "higher": False}
                assert (await client.put("/v1/models/m/best", json=best)).status_code == 200
                assert (await client.get("/v1/models/m/versions/best")).json()["version"] == "1.0.0"
                higher = await client.get("/v1/models/m/versions/best", params={"measurement": "count/steps"})
                assert higher.json()["version"] == "1.1.0"
                traced = (await client.get("/v1/models/m/lineage", params={"version": "1.0.0"})).json()
                assert [n["origin"]["phase"] for n in traced["nodes"]] == ["count", "echo"]
                assert traced["nodes"][1]["registered"] == ["parent:1.0.0"]
                assert len(traced["edges"]) == 1
                promoted = {"alias": "production", "version": "1.0.0"}
                assert (await client.post("/v1/models/m:promote", json=promoted)).status_code == 200
                for path in ("m/versions/1.0.0", "parent/versions/1.0.0"):
                    refused = await client.delete(f"/v1/models/{path}")
                    assert refused.json()["reason"] == "VERSION_IN_USE", path
                await _replays(client, world)
                await _cleans(client, world)

    asyncio.run(story())


async def _replays(client: httpx.AsyncClient, world: World) -> None:
    asked = {"version": "1.0.0"}
    begun = await client.post("/v1/models/m/replays", params=asked)
    assert begun.status_code == 201, begun.text
    path = f"/v1/models/m/replays/{begun.json()['run_id']}"
    while (found := (await client.get(path, params=asked)).json())["equal"] is None:
        await asyncio.sleep(0.02)
    assert (found["equal"], found["same_code"]) == (True, True)
    assert (await client.get(path, params={"version": "1.1.0"})).json()["reason"] == "NOT_A_REPLAY"
    done = world.home / "runs" / begun.json()["run_id"] / "count" / "DONE.json"
    done.write_text(done.read_text().replace(found["found_sha256"], "0" * 64))
    assert (await client.get(path, params=asked)).json()["equal"] is False
    assert (await client.post("/v1/models/m/verify", params=asked)).json()["ok"] is True


async def _cleans(client: httpx.AsyncClient, world: World) -> None:
    gone = await client.request("DELETE", "/v1/models/m/versions/1.1.0", json={"why": "old", "by": "me"})
    assert gone.json()["tombstone"]["why"] == "old"
    assert (await client.post("/v1/models/m:promote", json={"alias": "x", "version": "1.1.0"})).status_code == 409
    body = {"outputs": True, "older_than_s": 0}
    dry = (await client.post("/v1/storage:clean-up", json=body)).json()
    paths = {item["path"] for item in dry["items"]}
    assert {"runs/r2/count/output/text", "runs/spare/count/output/text", "runs/r1/count/checkpoints"} <= paths
    # r1's count is promoted, its echo is what it descends from; all runs echoed the same bytes.
    assert not any((path.startswith("runs/r1/") and "output" in path) or "echo/output" in path for path in paths)
    on_disk = [f for p in paths for f in (world.home / p).rglob("*") if f.is_file()]
    assert dry["total_bytes"] == sum(f.stat().st_size for f in on_disk) > 0
    assert (await client.post("/v1/storage:clean-up", json={"older_than_s": 3600})).json()["items"] == []
    real = (await client.post("/v1/storage:clean-up", json={**body, "dry_run": False})).json()
    assert real["items"] == dry["items"]
    assert not any((world.home / path).exists() for path in paths)
    assert (await client.post("/v1/storage:clean-up", json=body)).json()["items"] == []
    assert (await client.post("/v1/models/m/verify", params={"version": "1.0.0"})).json()["ok"] is True


def test_cards_exports_and_damage(place: Path) -> None:
    async def story() -> None:
        async with world_with(place) as world, world.gateway() as gateway, http(gateway) as client:
            _models(world, "a")
            (world.home / "mine" / "a" / "README.md").write_text("the phase's own")
            adapter(world.home / "mine" / "lora")
            words = {"description": HTML, "tags": {HTML: HTML}, "by": HTML}
            base = (await _register(client, "m", "mine/a", **words)).json()
            assert base["description"] == HTML
            assert base["tags"] == {HTML: HTML}
            assert (await _register(client, "l", "mine/lora")).json()["reason"] == "ADAPTER_BASE"
            assert (await _register(client, "l", "mine/lora", base="m")).json()["base"] == "m:1.0.0"
            card = (await client.get("/v1/models/m/card")).text
            assert "<script>" not in card
            assert card == (world.home / "models" / "m" / "1.0.0" / "README.md").read_text()
            assert "Nothing was measured" in card
            picture = (await client.get("/v1/models/l/lineage.svg")).text
            assert picture.count("<rect") == 2
            assert "m:1.0.0" in picture
            assert (await client.delete("/v1/models/m/versions/1.0.0")).json()["reason"] == "VERSION_IN_USE"
            first, second = [(await client.get("/v1/models/m/export")).content for _ in range(2)]
            assert first == second
            assert len(first) % 10240 == 0
            with tarfile.open(fileobj=io.BytesIO(first)) as tar:
                names = tar.getnames()
                assert set(names) == {
                    f"m-1.0.0/{n}" for n in ("README.md", "README.phase.md", "config.json", "model.safetensors")
                }
            damaged = world.home / base["artifact"]["path"] / "model.safetensors"
            damaged.write_bytes(damaged.read_bytes()[:-1] + b"\1")
            found = (await client.post("/v1/models/m/verify")).json()
            assert found["ok"] is False
            assert "model.safetensors" in found["error"]["message"]

    asyncio.run(story())
