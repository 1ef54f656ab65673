"""A gateway that is killed loses nothing; two of them on one volume do not get into each other's way."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from agentforge.kit.rundir import RunDirectory
from agentforge_gateway.journal import PIPELINE
from agentforge_gateway.models import State
from tests.postgres import empty

from .conftest import World, finished, http, spec, until, world_with


async def gateway_process(world: World, log: Path, **environment: str) -> asyncio.subprocess.Process:
    """A gateway in a process of its own; its log says when it listens."""
    with log.open("ab") as out:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agentforge_gateway", stdout=out, stderr=out, env=os.environ
            | {
                "AGENTFORGE_HOME": str(world.home),
                "AGENTFORGE_PHASE_TARGET": f"unix:{world.place}/{{phase}}.s",
                "AGENTFORGE_LISTEN": "127.0.0.1:0",
                "AGENTFORGE_GRPC_LISTEN": "",
                **environment,
            },
        )  # fmt: skip


def test_kill_9_at_random_instants(place: Path) -> None:
    async def story() -> None:
        random.seed(7)
        async with world_with(place, "echo", "count") as world:
            slow = spec(count={"n": 60, "every": 7, "step_s": 0.08}, echo={"samples": 300})
            async with world.gateway(listen="") as gateway:
                await gateway.parts.runs.start("whole", spec(count={"n": 60, "every": 7}, echo={"samples": 300}))
                await finished(gateway, "whole")
                await gateway.parts.runs.start("k", slow)
            for _ in range(4):  # 1.5 s is about what it takes to import and to begin
                process = await gateway_process(world, place / "log")
                await asyncio.sleep(1.2 + random.random())
                process.send_signal(signal.SIGKILL)
                await process.wait()
            async with world.gateway(listen="") as gateway:
                done = await finished(gateway, "k")
            assert done.state is State.SUCCEEDED, done.error
            assert world.digest("k") == world.digest("whole")
            holds_each_event_once(world, "k")

    asyncio.run(story())


def holds_each_event_once(world: World, run_id: str) -> None:
    lines = [json.loads(line) for line in (world.home / f"runs/{run_id}/pipeline/events.jsonl").open()]
    assert [line["sequence"] for line in lines] == list(range(1, len(lines) + 1))
    for phase in ("echo", "count"):
        own = [json.loads(line) for line in (world.home / f"runs/{run_id}/{phase}/events.jsonl").open()]
        copies = [line for line in lines if line["phase"] == phase and "source_sequence" in line]
        assert [line["source_sequence"] for line in copies] == [line["sequence"] for line in own]
        for copy, line in zip(copies, own, strict=True):
            kept: dict[str, Any] = {k: v for k, v in copy.items() if k not in ("sequence", "source_sequence")}
            assert kept == {k: v for k, v in line.items() if k != "sequence"}


def test_a_gateway_process_stops_on_sigterm(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world:
            process = await gateway_process(world, place / "log")
            async with asyncio.timeout(60):
                while "listening" not in (place / "log").read_text():
                    await asyncio.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 10) == 0

    asyncio.run(story())


def test_two_gateways_on_one_volume(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world:
            async with asyncio.timeout(60):
                one, two = world.gateway(), world.gateway()
                first, second = await asyncio.gather(one.__aenter__(), two.__aenter__())  # they migrate at once
            try:
                slow = spec(count={"n": 30, "step_s": 0.05})
                answers = await asyncio.gather(*(g.parts.runs.start("t", slow) for g in (first, second)))
                assert sorted(created for _, created in answers) == [False, True]
                await asyncio.gather(*(g.parts.runs.start("u", slow) for g in (first, second)))
                owners = [g for g in (first, second) if await g.parts.scheduler.live("t")]
                await until(first, "t", lambda r: r.phases[1].progress is not None)
                owners = [g for g in (first, second) if await g.parts.scheduler.live("t")]
                assert len(owners) == 1
                other = second if owners[0] is first else first
                async with http(other) as client:  # the other one shows and cancels it as well
                    assert (await client.get("/v1/runs/t")).json()["state"] == "RUN_STATE_RUNNING"
                    await client.post("/v1/runs/t:cancel")
                assert (await finished(other, "t")).state is State.CANCELLED
                await owners[0].stop()
                assert (await finished(other, "u")).state is State.SUCCEEDED  # taken over, if it was the other's
                await other.parts.runs.resume("t")
                assert (await finished(other, "t")).state is State.SUCCEEDED
            finally:
                await asyncio.gather(first.stop(), second.stop())
            for run_id in ("t", "u"):
                holds_each_event_once(world, run_id)

    asyncio.run(story())


def test_a_lost_database_is_rebuilt_from_the_volume(place: Path, database_url: str) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world:
            async with world.gateway(listen="") as gateway:
                await gateway.parts.runs.start("old", spec(count={"n": 3}))
                done = await finished(gateway, "old")
            if database_url:
                empty(database_url)
            for file in world.home.glob("gateway.db*"):
                file.unlink()
            async with world.gateway(listen="") as gateway:
                again = await gateway.parts.runs.get("old")
                assert again == done
                assert not RunDirectory(world.home, "old", PIPELINE).is_locked()

    asyncio.run(story())
