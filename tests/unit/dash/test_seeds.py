"""The seeds' own routes, through two phases of the seeds' names that are small (small.py)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import connect

from agentforge_gateway.app import Gateway
from tests.unit.gateway.conftest import http, world_with

from .small import NAMES


@pytest.fixture(autouse=True)
def small(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTFORGE_PIPELINE", "tests.unit.dash.small")


async def _follow(gateway: Gateway, session_id: str) -> list[dict[str, Any]]:
    address = f"ws://{gateway.http_address}/evomerge/progress/{session_id}"
    async with connect(address) as socket:
        return [json.loads(message) async for message in socket]


def test_cognate_then_evomerge_as_the_seeds_do_it(place: Path) -> None:
    async def story() -> None:
        async with (
            world_with(place, "cognate", "evomerge") as world,
            world.gateway() as gateway,
            http(gateway) as client,
        ):
            body: dict[str, Any] = {"session_id": "s", "config": {"numbers": 2}}
            made = (await client.post("/cognate/run", json=body)).json()
            assert (made["success"], made["status"], made["session_id"]) == (True, "completed", "s"), made
            assert sorted(made["model_ids"]) == sorted(f"runs/s/cognate/output/{name}" for name in NAMES)
            assert made["metrics"] == {"cognate/models": 3}
            assert (await client.post("/cognate/run", json=body)).json() == made  # the same session, the same run
            other = await client.post("/cognate/run", json=body | {"config": {"numbers": 3}})
            assert (other.status_code, other.json()["reason"]) == (409, "ALREADY_EXISTS")
            asked = {"session_id": "e", "input_model_ids": made["model_ids"], "wait": False}
            asked["config"] = {"generations": 20, "pause_s": 0.05}
            begun = (await client.post("/evomerge/evolve", json=asked)).json()
            assert begun.get("success", "refused") is None, begun
            assert begun["model_id"] is None
            told = await _follow(gateway, "e")
            assert told[-1]["status"] == "completed"
            assert told[-1]["progress"]["done"] == 20
            fitness = [one["metrics"].get("evomerge/best_fitness") for one in told]
            seen = [one for one in fitness if one is not None]
            assert seen == sorted(seen)
            assert len(set(seen)) > 2  # it was told while it went on
            done = (await client.post("/evomerge/evolve", json={**asked, "wait": True})).json()
            assert done["success"] is True
            assert (done["model_id"], done["fitness"]) == ("runs/e/evomerge/output/champion", 19)
            assert (await client.get("/v1/phases/evomerge/runs/e")).json()["state"] == "RUN_STATE_SUCCEEDED"
            await _by_name(client, made["model_ids"])

    asyncio.run(story())


async def _by_name(client: httpx.AsyncClient, model_ids: list[str]) -> None:
    """Registered models are inputs, too; the same one twice keeps two names."""
    answer = await client.post("/v1/models/m:register", json={"source": model_ids[0]})
    assert answer.status_code == 201, answer.text
    done = await client.post("/evomerge/evolve", json={"input_model_ids": ["m", "m:1.0.0", model_ids[1]]})
    assert done.json()["success"] is True, done.text


def test_what_goes_wrong(place: Path) -> None:
    async def story() -> None:
        async with (
            world_with(place, "cognate", "evomerge") as world,
            world.gateway() as gateway,
            http(gateway) as client,
        ):
            failed = (await client.post("/cognate/run", json={"session_id": "f", "config": {"fails": True}})).json()
            assert (failed["success"], failed["status"], failed["error"]["reason"]) == (False, "failed", "TOLD_TO")
            wrong: list[tuple[dict[str, Any], int]] = [
                ({"session_id": "../x"}, 422),
                ({"config": {"num_models": 3}}, 422),
                ({"config": 3}, 422),
                ({"strange": 1}, 422),
                ({"preset": "none"}, 422),
            ]
            for body, status in wrong:
                answer = await client.post("/cognate/run", json=body)
                assert answer.status_code == status, (body, answer.text)
            inputs: tuple[Any, ...] = ({}, ["../x", "y/z"], ["none"], ["runs/none/cognate/output/x", "a/b"], [""])
            for model_ids in inputs:
                answer = await client.post("/evomerge/evolve", json={"input_model_ids": model_ids})
                assert 400 <= answer.status_code < 500, (model_ids, answer.text)
            for session_id in ("none", "-x"):
                with pytest.raises(websockets.InvalidStatus) as refused:
                    await _follow(gateway, session_id)
                assert refused.value.response.status_code in (404, 422)
            paths = (await client.get("/openapi.json")).json()["paths"]
            assert {"/cognate/run", "/evomerge/evolve"} <= set(paths)

    asyncio.run(story())
