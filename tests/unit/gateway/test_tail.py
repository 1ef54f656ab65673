"""The fan-out by itself: many watchers, slow ones, and logs that grow under them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from agentforge.kit.events import Entry, EventLog
from agentforge_gateway.tail import KEPT_CHUNKS, CaughtUp, Chunk, Tail, Tails


def entries(count: int) -> list[Entry]:
    return [
        Entry("progress", {"done": i, "total": 0, "unit": "steps", "message": "x" * 90}, 1) for i in range(count)
    ]


async def collect(tails: Tails, path: Path, after: int, pause_s: float = 0.0) -> tuple[list[int], list[int]]:
    """Sequences in order, and the positions of the catch-up marks among them."""
    got: list[int] = []
    marks: list[int] = []
    async for item in tails.watch(path, "", after, 10.0):
        if isinstance(item, Chunk):
            frames = item.sse.decode().split("\n\n")[:-1]
            got += [int(frame.partition("\n")[0].removeprefix("id: ")) for frame in frames]
            assert [event.sequence for event in item.events] == got[-len(frames) :]
            assert len(json.loads(item.text)["events"]) == len(frames)
            await asyncio.sleep(pause_s)
        elif isinstance(item, CaughtUp):
            marks.append(len(got))
    return got, marks


def test_every_watcher_gets_each_event_once(tmp_path: Path) -> None:
    async def story() -> None:
        tails, path = Tails(), tmp_path / "events.jsonl"
        with EventLog(path, "") as log:
            log.append_batch(entries(5000))
            starts = [0, 1, 17, 2500, 4999, 5000] * 3
            watchers = [asyncio.create_task(collect(tails, path, after)) for after in starts]
            slow = asyncio.create_task(collect(tails, path, 0, pause_s=0.05))
            for _ in range(60):
                log.append_batch(entries(250))
                await asyncio.sleep(0.01)
            log.append("state_changed", {"state": "RUN_STATE_SUCCEEDED", "reason": ""}, 1)
            last = 5000 + 60 * 250 + 1
            for after, watcher in zip(starts, watchers, strict=True):
                got, marks = await watcher
                assert got == list(range(after + 1, last + 1))
                assert len(marks) == 1
            assert (await slow)[0] == list(range(1, last + 1))
        assert tails.watchers == 0
        await tails.close()

    asyncio.run(story())


def test_a_slow_watcher_costs_no_memory(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "events.jsonl"
        with EventLog(path, "") as log:
            log.append_batch(entries(10))
            tail = Tail(path, "")
            slow = tail.watch(0, 10.0)
            await anext(slow)
            for _ in range(40):
                log.append_batch(entries(1000))
                await asyncio.sleep(0.01)
            assert len(tail._chunks) <= KEPT_CHUNKS
            got = 10
            while got < 40_010:
                item = await anext(slow)
                got += item.last - item.first + 1 if isinstance(item, Chunk) else 0
            await slow.aclose()
            await tail.close()

    asyncio.run(story())


def test_a_resumed_run_is_not_over(tmp_path: Path) -> None:
    async def story() -> None:
        tails, path = Tails(), tmp_path / "events.jsonl"
        with EventLog(path, "") as log:
            log.append("state_changed", {"state": "RUN_STATE_FAILED", "reason": ""}, 1)
            assert (await collect(tails, path, 0))[0] == [1]
            log.append("state_changed", {"state": "RUN_STATE_QUEUED", "reason": "resumed"}, 1)
            watcher = asyncio.create_task(collect(tails, path, 0))
            await asyncio.sleep(0.1)
            assert not watcher.done()
            log.append("state_changed", {"state": "RUN_STATE_SUCCEEDED", "reason": ""}, 2)
            assert (await watcher)[0] == [1, 2, 3]
        await tails.close()

    asyncio.run(story())


def test_a_line_longer_than_a_chunk(tmp_path: Path) -> None:
    async def story() -> None:
        tails, path = Tails(), tmp_path / "events.jsonl"
        with EventLog(path, "") as log:
            log.append("log", {"level": "LEVEL_INFO", "message": "y" * 500_000}, 1)
            log.append("state_changed", {"state": "RUN_STATE_SUCCEEDED", "reason": ""}, 1)
        assert (await collect(tails, path, 0))[0] == [1, 2]
        await tails.close()

    asyncio.run(story())
