"""Events from a worker's log through gRPC and the gateway to 50 watchers of server-sent events."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from tests.bench.record import record
from tests.bench.system import system

WATCHERS = 50
EVENTS = 50_000


@dataclass
class Watched:
    received: int
    lost: int
    doubled: int
    seconds: float


def main() -> None:
    with system() as built:
        run_id = built.submit("echo", echo={"samples": EVENTS})
        begun = time.monotonic()
        watched = asyncio.run(watch_all(built.port, run_id, begun))
    slowest = max(w.seconds for w in watched)
    figures = {
        "watchers": WATCHERS,
        "events_each": min(w.received for w in watched),
        "lost": sum(w.lost for w in watched),
        "doubled": sum(w.doubled for w in watched),
        "seconds_to_the_last_watcher": slowest,  # the worker's start and writing included
        "events_per_second": min(w.received for w in watched) / slowest,
    }
    record("event_throughput", ">= 5,000 events/s to 50 watchers, none lost or doubled", figures)


async def watch_all(port: int, run_id: str, begun: float) -> list[Watched]:
    return list(await asyncio.gather(*(watch(port, run_id, begun) for _ in range(WATCHERS))))


async def watch(port: int, run_id: str, begun: float) -> Watched:
    """Count the ids of a stream as it comes; nothing else is parsed: the watchers are not what is measured."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    writer.write(f"GET /v1/runs/{run_id}/events HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    last, received, lost, doubled, rest = 0, 0, 0, 0, b""
    while data := await reader.read(1 << 20):
        lines = (rest + data).split(b"\n")
        rest = lines.pop()
        for line in lines:
            if line.startswith(b"id:"):
                sequence = int(line[3:])
                received += 1
                lost += max(0, sequence - last - 1)
                doubled += sequence <= last
                last = max(last, sequence)
    writer.close()
    assert last > EVENTS, f"the stream of {run_id} ended after event {last}"
    return Watched(received, lost, doubled, time.monotonic() - begun)
