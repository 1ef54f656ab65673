"""A PostgreSQL server that is cut off, restarted or struck dumb in the middle of a run: the run goes on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentforge.kit.errors import Unavailable
from agentforge_gateway.app import Gateway
from agentforge_gateway.models import State
from tests.postgres import ON_POSTGRES, PostgresServer, programs

from .conftest import finished, http, spec, until, world_with
from .test_kills import holds_each_event_once

SLOW = spec(count={"n": 60, "every": 10, "step_s": 0.05})


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One for the test alone, because it will be ill-treated."""
    place = programs()
    if place is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt install postgresql)")
    server = PostgresServer(place)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.mark.slow
def test_connections_are_cut(place: Path, server: PostgresServer) -> None:
    async def story() -> None:
        url = server.new_database()
        async with world_with(place, "echo", "count") as world, world.gateway(database_url=url) as gateway:
            await gateway.parts.runs.start("c", SLOW)
            for _ in range(8):
                server.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
                await asyncio.sleep(0.3)
            assert (await finished(gateway, "c")).state is State.SUCCEEDED
            async with http(gateway) as client:
                assert (await client.get("/readyz")).status_code == 200
            holds_each_event_once(world, "c")

    asyncio.run(story())


def test_the_server_is_down_for_a_while(place: Path, server: PostgresServer) -> None:
    async def story() -> None:
        url = server.new_database()
        async with world_with(place, "echo", "count") as world, world.gateway(database_url=url) as gateway:
            await gateway.parts.runs.start("d", SLOW)
            await until(gateway, "d", lambda run: run.phases[1].state is State.RUNNING)
            await asyncio.to_thread(server.stop)
            async with http(gateway) as client:
                ready = await client.get("/readyz")
                assert (ready.status_code, ready.json()["ready"]) == (503, False)
                listed = await client.get("/v1/runs")
                assert (listed.status_code, listed.json()["reason"]) == (503, "DATABASE_UNAVAILABLE")
                # To its end on the volume, without a database.
                done = world.home / "runs/d/count/DONE.json"
                async with asyncio.timeout(60):
                    while not done.exists():
                        await asyncio.sleep(0.05)
                await asyncio.to_thread(server.start)
                assert (await finished(gateway, "d")).state is State.SUCCEEDED
                await _row_is_final(gateway, "d")
                assert (await client.get("/readyz")).status_code == 200

    asyncio.run(story())


def test_the_server_hangs(place: Path, server: PostgresServer) -> None:
    """Stopped, not dead: connections are accepted by the kernel, and nothing ever answers."""

    async def story() -> None:
        told = {"database_url": server.new_database(), "database_timeout_s": 0.3}
        async with world_with(place, "echo", "count") as world, world.gateway(**told) as gateway:
            await gateway.parts.runs.start("h", SLOW)
            await until(gateway, "h", lambda run: run.phases[1].state is State.RUNNING)
            server.signal(signal.SIGSTOP)
            try:
                async with http(gateway) as client:
                    begun = time.monotonic()
                    ready = await client.get("/readyz")
                    assert (ready.status_code, ready.json()["ready"]) == (503, False)
                    listed = await client.get("/v1/runs")
                    assert (listed.status_code, listed.json()["reason"]) == (503, "DATABASE_UNAVAILABLE")
                    assert time.monotonic() - begun < 10
                log = world.home / "runs/h/pipeline/events.jsonl"
                async with asyncio.timeout(60):  # to its end, by its log, without a database
                    while '"state":"RUN_STATE_SUCCEEDED","reason":""' not in log.read_text().splitlines()[-1]:
                        await asyncio.sleep(0.1)
            finally:
                server.signal(signal.SIGCONT)
            await _row_is_final(gateway, "h")
            holds_each_event_once(world, "h")

    asyncio.run(story())


async def _row_is_final(gateway: Gateway, run_id: str) -> None:
    """The database has it too, once it answers."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(Unavailable):
                run = await gateway.parts.store.get(run_id)
                if run is not None and run.state is State.SUCCEEDED:
                    return
            await asyncio.sleep(0.1)


def test_a_gateway_stops_without_its_database(place: Path, server: PostgresServer) -> None:
    async def story() -> None:
        url = server.new_database()
        async with world_with(place, "echo", "count") as world:
            async with world.gateway(listen="", database_url=url) as gateway:
                await gateway.parts.runs.start("s", SLOW)
                await until(gateway, "s", lambda run: run.phases[1].state is State.RUNNING)
                server.stop()
                await asyncio.sleep(1)  # events come that cannot be saved
                async with asyncio.timeout(15):
                    await gateway.stop()
            server.start()
            async with world.gateway(listen="", database_url=url) as gateway:
                assert (await finished(gateway, "s")).state is State.SUCCEEDED
                assert (await gateway.parts.store.get("s")) == await gateway.parts.runs.get("s")
            holds_each_event_once(world, "s")

    asyncio.run(story())


@ON_POSTGRES
def test_a_row_that_was_left_behind_is_brought_up_to_date(place: Path) -> None:
    """Its gateway died between the last line of the run's log and the row."""

    async def story() -> None:
        async with world_with(place, "echo", "count") as world, world.gateway(listen="") as gateway:
            await gateway.parts.runs.start("b", spec(count={"n": 3}))
            done = await finished(gateway, "b")
            await gateway.parts.store.save(done.model_copy(update={"state": State.RUNNING}))
            await _row_is_final(gateway, "b")
            assert await gateway.parts.store.ids(unfinished=True) == []

    asyncio.run(story())
