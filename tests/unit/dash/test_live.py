"""What pages are sent while they are open: first all of it, then what changed, and the end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from tests.unit.gateway.conftest import finished, spec, sse, until

from .looking import HTML, looking


async def frames(client: httpx.AsyncClient, path: str) -> list[dict[str, str]]:
    return [frame async for frame in sse(client, path)]


async def first(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    async for frame in sse(client, path):
        if "data" in frame:
            return dict(json.loads(frame["data"]))
    raise AssertionError("the stream ended without a message")


def test_a_run_is_followed_to_its_end(place: Path) -> None:
    async def story() -> None:
        async with looking(place, "echo", "count") as (_, gateway, client):
            await gateway.parts.runs.start("r", spec(echo={"text": HTML}, count={"n": 60, "step_s": 0.02}))
            await until(gateway, "r", lambda run: run.phase("count").progress is not None)
            seen, phase = await asyncio.gather(frames(client, "/runs/r/live"), frames(client, "/runs/r/count/live"))
            assert (await gateway.parts.runs.get("r")).state.final
            assert [frame.get("event") for frame in seen].count("final") == 1
            assert seen[-1]["event"] == phase[-1]["event"] == "final"
            drawn = [json.loads(frame["data"]) for frame in seen if "data" in frame and "event" not in frame]
            assert set(drawn[0]) == {"summary", "actions", "road", "log"}
            assert len(drawn) > 1
            assert all(set(later) < set(drawn[0]) or later != drawn[0] for later in drawn[1:])  # what changed
            now: dict[str, str] = {}
            for one in drawn:
                now |= one
            assert "succeeded" in now["summary"]
            assert "/runs/r/cancel" in drawn[0]["actions"]
            assert "/runs/r/cancel" not in now["actions"]
            whole = json.loads(next(frame["data"] for frame in phase if "data" in frame))
            assert {"summary", "figures", "measured", "outputs", "log"} <= set(whole)
            # who comes late has all of it at once, and the end
            late = await frames(client, "/runs/r/live")
            assert [frame.get("event") for frame in late if "data" in frame] == [None, "final"]
            assert json.loads(next(frame["data"] for frame in late if "data" in frame)) == now

    asyncio.run(story())


def test_streams_end_with_the_gateway_and_the_list_is_live(place: Path) -> None:
    async def story() -> None:
        async with looking(place, "echo") as (_, gateway, client):
            assert "Nothing has been run" in (await first(client, "/live/runs"))["runs"]
            await gateway.parts.runs.start("r", spec("echo"))
            await finished(gateway, "r")
            assert "/runs/r" in (await first(client, "/live/runs"))["runs"]
            for path in ("/runs/none/live", "/runs/r/none/live"):
                assert (await client.get(path)).status_code == 404
            watching = asyncio.create_task(frames(client, "/live/runs"))
            await asyncio.sleep(0.3)
            async with asyncio.timeout(5):
                await gateway.stop()
                await watching

    asyncio.run(story())
