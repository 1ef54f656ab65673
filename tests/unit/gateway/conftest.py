"""Real phase servers on unix sockets, and gateways before them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentforge.kit.phase import load_pipeline
from agentforge.kit.serve.server import PhaseServer
from agentforge_gateway.app import Gateway
from agentforge_gateway.models import PipelineSpec, Run
from agentforge_gateway.settings import GatewaySettings
from tests.postgres import database_kind, database_url, postgres

__all__ = ["database_kind", "database_url", "postgres"]

ROOT = Path(__file__).parents[3]
FINAL = ("RUN_STATE_SUCCEEDED", "RUN_STATE_FAILED", "RUN_STATE_CANCELLED")


class World:
    """A volume with the services of the test phases on it."""

    def __init__(self, place: Path) -> None:
        self.home = place / "home"
        self.place = place
        self.servers: dict[str, PhaseServer] = {}
        self.home.mkdir()

    def target(self, phase: str) -> str:
        return f"unix:{self.place}/{phase}.s"

    async def serve(self, *phases: str) -> None:
        pipeline = load_pipeline()
        for name in phases:
            server = PhaseServer(pipeline.spec(name), self.home, self.target(name))
            await server.start()
            self.servers[name] = server

    async def down(self, *phases: str) -> None:
        for name in phases or list(self.servers):
            await self.servers.pop(name).stop(0.2)

    def settings(self, **others: Any) -> GatewaySettings:
        given = {
            "home": self.home,
            "phase_target": f"unix:{self.place}/{{phase}}.s",
            "listen": "127.0.0.1:0",
            "grpc_listen": "",
        }
        return GatewaySettings(**{**given, **others})

    @contextlib.asynccontextmanager
    async def gateway(self, **others: Any) -> AsyncIterator[Gateway]:
        gateway = Gateway(self.settings(**others))
        await gateway.start()
        try:
            yield gateway
        finally:
            await gateway.stop()

    def digest(self, run_id: str, phase: str = "count") -> str:
        return (self.home / "runs" / run_id / phase / "output" / "text" / "text.txt").read_text()


@contextlib.asynccontextmanager
async def world_with(place: Path, *phases: str) -> AsyncIterator[World]:
    world = World(place)
    await world.serve(*phases)
    try:
        yield world
    finally:
        await world.down()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Iterator[Path]:
    """Short, because a unix socket's path holds 107 bytes. All gateways of a test have one database."""
    monkeypatch.setenv("AGENTFORGE_PIPELINE", "tests.phases.pipeline")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("AGENTFORGE_DATABASE_URL", database_url)
    for name in ("AGENTFORGE_TOKEN", "AGENTFORGE_HOME"):
        monkeypatch.delenv(name, raising=False)
    directory = Path(tempfile.mkdtemp(prefix="gw"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def spec(until: str = "count", *, no_reuse: bool = True, **config: dict[str, Any]) -> PipelineSpec:
    return PipelineSpec(config=config, until_phase=until, no_reuse=no_reuse)


async def finished(gateway: Gateway, run_id: str, seconds: float = 60) -> Run:
    """The run, once it is final."""
    return await until(gateway, run_id, lambda run: run.state.value in FINAL, seconds)


async def until(gateway: Gateway, run_id: str, condition: Any, seconds: float = 60) -> Run:
    async with asyncio.timeout(seconds):
        while True:
            run = await gateway.parts.runs.get(run_id)
            if condition(run):
                return run
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def http(gateway: Gateway, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{gateway.http_address}", headers=headers, timeout=30) as client:
        yield client


async def sse(client: httpx.AsyncClient, path: str, **headers: str) -> AsyncIterator[dict[str, str]]:
    """The frames of an event stream: their fields by name."""
    async with client.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        frame: dict[str, str] = {}
        async for line in response.aiter_lines():
            if not line:
                if frame:
                    yield frame
                frame = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                frame[name] = value
