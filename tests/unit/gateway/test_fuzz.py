"""Requests that nobody would send by intention: every answer is a documented one, and none is a 5xx."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance

from .conftest import world_with


@pytest.fixture
def address(place: Path) -> Iterator[str]:
    """A gateway with all four services, in a thread with a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stop, ready = asyncio.Event(), threading.Event()
    found: list[str] = []

    async def story() -> None:
        async with world_with(place, "echo", "count", "fail", "leak") as world:
            (world.home / "mine").mkdir()
            (world.home / "mine" / "text.txt").write_text("x")
            async with world.gateway(heartbeat_s=0.2) as gateway:
                found.append(f"http://{gateway.http_address}")
                ready.set()
                await stop.wait()

    task = asyncio.run_coroutine_threadsafe(story(), loop)
    assert ready.wait(60), task.exception(0)
    yield found[0]
    loop.call_soon_threadsafe(stop.set)
    task.result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.parametrize("examples", [8, pytest.param(25, marks=pytest.mark.slow)])
def test_no_request_breaks_the_gateway(address: str, examples: int) -> None:
    document = json.loads(httpx.get(f"{address}/openapi.json").text)
    schema: Any = schemathesis.openapi.from_dict(document)
    schema.config.base_url = address
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.endswith("/events"):
            continue  # it streams; test_rest asks it for what it refuses

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def tries(case: Any) -> None:
            case.call_and_validate(checks=[not_a_server_error, status_code_conformance])

        schemathesis_test(operation, tries)
        tried += 1
    assert tried > 10


def schemathesis_test(operation: Any, function: Any) -> None:
    from hypothesis import given

    given(case=operation.as_strategy())(function)()
