"""Real processes for tests: services and gateways that can be started, killed at any instant, started again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from agentforge.client import PhaseClient

ROOT = Path(__file__).parents[1]
TEST_PIPELINE = "tests.phases.pipeline"
_SERVING = health_pb2.HealthCheckResponse.SERVING


def environment(home: Path, pipeline: str) -> dict[str, str]:
    """What a subprocess of ours needs: the volume, the pipeline, and the tests on its path."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"AGENTFORGE_HOME": str(home), "AGENTFORGE_PIPELINE": pipeline, "PYTHONPATH": path}


class Service:
    """A server process on a unix socket. `kill` is SIGKILL: no goodbye."""

    def __init__(self, command: list[str], home: Path, pipeline: str, name: str, **settings: str) -> None:
        # Unix socket paths hold about 100 bytes, and pytest's temporary directories are longer.
        self._sockets = tempfile.TemporaryDirectory(prefix="af-")
        self.target = f"unix:{self._sockets.name}/{name}"
        self._command = [part.replace("{target}", self.target) for part in command]
        told = {key: value.replace("{target}", self.target) for key, value in settings.items()}
        self._environment = environment(home, pipeline) | told
        self._log = home.parent / f"{name}.service.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def start(self, *, timeout_s: float = 60) -> Service:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT
            )
        deadline = time.monotonic() + timeout_s
        while not self._healthy():
            assert self._process.poll() is None, f"the service ended with {self._process.returncode}:\n{self.log}"
            assert time.monotonic() < deadline, f"not healthy after {timeout_s} s:\n{self.log}"
            time.sleep(0.02)
        return self

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def close(self) -> None:
        if self._process is not None:
            self.kill()
        self._sockets.cleanup()

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(60)

    def _healthy(self) -> bool:
        with grpc.insecure_channel(self.target) as channel, contextlib.suppress(grpc.RpcError):
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
            return bool(answer.status == _SERVING)
        return False


def phase_service(phase: str, home: Path, pipeline: str = TEST_PIPELINE) -> Service:
    home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "agentforge.kit.serve", phase, "--listen", "{target}"]
    return Service(command, home, pipeline, phase)


def gateway_service(
    home: Path, phases: Mapping[str, str], pipeline: str = TEST_PIPELINE, **settings: str
) -> Service:
    """`phases`: phase name to target. It speaks gRPC on its unix socket; HTTP where AGENTFORGE_LISTEN says so."""
    command = [sys.executable, "-m", "agentforge_gateway"]
    listen = {
        "AGENTFORGE_GRPC_LISTEN": "{target}",
        "AGENTFORGE_LISTEN": "",
        "AGENTFORGE_PHASES": json.dumps(phases),
    }
    return Service(command, home, pipeline, "gateway", **(listen | settings))


@contextlib.contextmanager
def running(service: Service) -> Iterator[PhaseClient]:
    """The service, started, and a client of it; both are gone at the end, and so are the workers."""
    service.start()
    try:
        with PhaseClient(service.target) as client:
            yield client
    finally:
        service.close()


def worker_pids(home: Path) -> list[int]:
    """Workers of this volume that are alive now, whoever started them."""
    marks = (b"agentforge.kit.worker", str(home).encode())
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes()
                if all(mark in line for mark in marks):
                    pids.append(int(entry.name))
    return sorted(pids)
