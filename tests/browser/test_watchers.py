"""Many who watch one run: each sees every event once, however late it came and however often it left."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import httpx
import pytest

from .installation import Installation

WATCHERS = 100
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def watch(client: httpx.AsyncClient, run_id: str, number: int) -> list[int]:
    """Sequences in the order in which they came. Every third watcher leaves now and then, and comes back."""
    rng, seen = random.Random(number), list[int]()
    await asyncio.sleep(rng.uniform(0, 1.5))
    while True:
        headers = {"Last-Event-ID": str(seen[-1])} if seen else {}
        leaves_after = rng.randrange(1, 60) if number % 3 == 0 else None
        came = 0
        async with client.stream("GET", f"/v1/runs/{run_id}/events", headers=headers) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                if line.startswith("id:"):
                    seen.append(int(line.removeprefix("id:")))
                    came += 1
                if not line and came == leaves_after:  # a frame is whole at its empty line
                    break
            else:
                return seen


def test_a_hundred_watchers_see_every_event_exactly_once(tmp_path: Path) -> None:
    with Installation(tmp_path) as installation:
        installation.start_run("seen", echo={"samples": 150}, count={"n": 60, "every": 2, "step_s": 0.03})

        async def all_of_them() -> list[list[int]]:
            limits = httpx.Limits(max_connections=None)
            async with httpx.AsyncClient(base_url=installation.url, timeout=120, limits=limits) as client:
                return await asyncio.gather(*(watch(client, "seen", number) for number in range(WATCHERS)))

        seen = asyncio.run(all_of_them())
        log = installation.home / "runs" / "seen" / "pipeline" / "events.jsonl"
        written = len(log.read_text().splitlines())
    assert written > 150  # echo alone writes as many
    assert seen == [list(range(1, written + 1))] * WATCHERS
