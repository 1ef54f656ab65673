"""Looking at pages as a browser does."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from agentforge_gateway.app import Gateway
from tests.unit.gateway.conftest import World, http, world_with

from .markup import Markup, checked

PAGE = {"Accept": "text/html,application/xhtml+xml"}
HTML = "<script>alert('x')</script><img src=x onerror=alert(1)>"


@contextlib.asynccontextmanager
async def looking(
    place: Path, *phases: str, token: str = ""
) -> AsyncIterator[tuple[World, Gateway, httpx.AsyncClient]]:
    async with (
        world_with(place, *phases) as world,
        world.gateway(token=token) as gateway,
        http(gateway, **PAGE) as client,
    ):
        yield world, gateway, client


async def shown(client: httpx.AsyncClient, path: str, status: int = 200) -> Markup:
    return read(await client.get(path), status)


def read(answer: httpx.Response, status: int = 200) -> Markup:
    assert answer.status_code == status, (answer.status_code, answer.text[:2000])
    assert answer.headers["content-type"].startswith("text/html")
    for name in ("content-security-policy", "x-content-type-options", "cache-control"):
        assert len(answer.headers.get_list(name)) == 1, name
    return checked(answer.text)
