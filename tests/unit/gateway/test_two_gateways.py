"""Two gateways on one database and one volume: each sequences its share, and what one leaves the other takes up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from agentforge_gateway.models import State
from tests.postgres import ON_POSTGRES

from .conftest import World, spec, world_with
from .test_kills import gateway_process, holds_each_event_once

RUNS = [f"r{number}" for number in range(4)]
SLOW = spec(count={"n": 60, "every": 5, "step_s": 0.05})


class Process:
    """A gateway with a process and an HTTP port of its own."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.process = process
        self.client = httpx.AsyncClient(base_url=f"http://{address}", timeout=30)

    async def sequences(self) -> int:
        """How many runs it works on now, by what it tells Prometheus."""
        lines = (await self.client.get("/metrics")).text.splitlines()
        return int(next(line for line in lines if line.startswith("agentforge_runs_sequenced ")).split()[1])

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


@contextlib.asynccontextmanager
async def processes(world: World, count: int) -> AsyncIterator[list[Process]]:
    """All started at once, so that they migrate at once."""
    logs = [world.place / f"gateway{number}.log" for number in range(count)]
    begun = [await gateway_process(world, log) for log in logs]
    gateways: list[Process] = []
    try:
        for process, log in zip(begun, logs, strict=True):
            async with asyncio.timeout(60):
                while "listening: http://" not in log.read_text():
                    assert process.returncode is None, log.read_text()
                    await asyncio.sleep(0.05)
            address = log.read_text().split("listening: http://")[1].split(",")[0]
            gateways.append(Process(process, address))
        yield gateways
    finally:
        for gateway in gateways:
            await gateway.client.aclose()
        for process in begun:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def beginnings(world: World, run_id: str) -> int:
    """How often a sequencer has taken the run up, by the run's own log."""
    lines = [json.loads(line) for line in (world.home / f"runs/{run_id}/pipeline/events.jsonl").open()]
    return sum(
        not line["phase"] and line.get("state_changed", {}).get("state") == State.RUNNING.value for line in lines
    )


async def _all_begun(world: World, gateways: list[Process]) -> None:
    """Two each, which is the limit."""
    async with asyncio.timeout(60):
        while [await gateway.sequences() for gateway in gateways] != [2, 2]:
            await asyncio.sleep(0.05)
        while [beginnings(world, run_id) for run_id in RUNS] != [1] * 4:
            await asyncio.sleep(0.02)


async def _all_succeed(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(90):
        while True:
            runs = (await client.get("/v1/runs")).json()["runs"]
            states = {run["run_id"]: run["state"] for run in runs}
            assert "RUN_STATE_FAILED" not in states.values(), runs
            if sorted(states) == RUNS and set(states.values()) == {"RUN_STATE_SUCCEEDED"}:
                return
            await asyncio.sleep(0.1)


@ON_POSTGRES
def test_each_takes_its_share_and_the_survivor_takes_all(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world, processes(world, 2) as (first, second):
            for number, run_id in enumerate(RUNS):
                body = {"run_id": run_id, **SLOW.model_dump(mode="json")}
                asked = [first, second] if number == 0 else [(first, second)[number % 2]]
                answers = await asyncio.gather(*(one.client.post("/v1/runs", json=body) for one in asked))
                assert sorted(answer.status_code for answer in answers) == ([200, 201] if number == 0 else [201])
            await _all_begun(world, [first, second])
            await first.kill()
            await _all_succeed(second.client)
            after = [beginnings(world, run_id) for run_id in RUNS]
            # Two were the killed one's and began again; no other was taken up twice.
            assert sorted(after) == [1, 1, 2, 2]
            assert len({world.digest(run_id) for run_id in RUNS}) == 1
            for run_id in RUNS:
                holds_each_event_once(world, run_id)

    asyncio.run(story())
