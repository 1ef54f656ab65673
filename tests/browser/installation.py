"""A gateway and services of the test phases, each its own process, on one volume."""

from __future__ import annotations

import concurrent.futures
import contextlib
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.harness import TEST_PIPELINE, Service, gateway_service, phase_service

_FINAL = ("RUN_STATE_SUCCEEDED", "RUN_STATE_FAILED", "RUN_STATE_CANCELLED")


class Installation:
    """`gateway` may be killed and started again: its port stays."""

    def __init__(
        self, place: Path, pipeline: str = TEST_PIPELINE, phases: tuple[str, ...] = ("echo", "count")
    ) -> None:
        self.home = place / "home"
        self._last_phase = phases[-1]
        self.services = [phase_service(name, self.home, pipeline) for name in phases]
        self.url = f"http://127.0.0.1:{_free_port()}"
        targets = dict(zip(phases, (service.target for service in self.services), strict=True))
        listen = self.url.removeprefix("http://")
        self.gateway: Service = gateway_service(self.home, targets, pipeline, AGENTFORGE_LISTEN=listen)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self._close)
            with concurrent.futures.ThreadPoolExecutor() as pool:
                list(pool.map(Service.start, [*self.services, self.gateway]))
            stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for service in (self.gateway, *self.services):
            service.close()

    def start_run(self, run_id: str, **config: dict[str, Any]) -> None:
        asked = {
            "run_id": run_id, "preset": "tiny", "config": config, "until_phase": self._last_phase, "no_reuse": True,
        }  # fmt: skip
        httpx.post(f"{self.url}/v1/runs", json=asked, timeout=30).raise_for_status()

    def run(self, run_id: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/v1/runs/{run_id}", timeout=30).raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def finished(self, run_id: str, timeout_s: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while (run := self.run(run_id))["state"] not in _FINAL:
            assert time.monotonic() < deadline, run
            time.sleep(0.05)
        return run


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
