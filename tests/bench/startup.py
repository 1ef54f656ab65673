"""Time from starting a phase service to its health check answering, and whether torch is in the process."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.bench.record import distribution, record, rss_bytes
from tests.harness import phase_service

RUNS = 10


def main() -> None:
    seconds, torch_seen, rss = [], 0, 0
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as scratch:
            service = phase_service("echo", Path(scratch) / "home")
            started = time.monotonic()
            service.start()
            seconds.append(time.monotonic() - started)
            torch_seen += "libtorch" in Path(f"/proc/{service.pid}/maps").read_text()
            rss = max(rss, rss_bytes(service.pid))
            service.close()
    figures = {"seconds_to_healthy": distribution(seconds), "processes_with_torch": torch_seen, "rss_bytes": rss}
    record("service_startup", "healthy in <= 2 s, no torch in the parent", figures)
