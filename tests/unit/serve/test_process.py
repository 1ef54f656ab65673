"""The service as a process of its own."""

import signal
import socket as sockets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from agentforge.client import PhaseClient
from agentforge.kit.errors import Unavailable
from agentforge.v1 import phase_pb2
from agentforge.v1.phase_pb2_grpc import PhaseServiceStub
from tests.unit.serve.conftest import ROOT

COMMAND = [sys.executable, "-m", "agentforge.kit.serve"]


@pytest.fixture
def process(home: Path, socket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    monkeypatch.setenv("AGENTFORGE_HOME", str(home))
    command = [*COMMAND, "echo", "--listen", socket, "--interrupt-workers"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def wait_until_healthy(target: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        with grpc.insecure_channel(target) as channel:
            try:
                health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
                return
            except grpc.RpcError:
                assert time.monotonic() < deadline
                time.sleep(0.02)


def test_runs_and_ends_on_sigterm(process: subprocess.Popen[bytes], socket: str) -> None:
    wait_until_healthy(socket)
    with PhaseClient(socket) as client:
        assert client.run("r").run_id == "r"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        client_gone = PhaseClient(socket, timeout=2)
        with client_gone, pytest.raises(Unavailable):
            client_gone.describe()


def test_sigterm_ends_watchers_with_a_hint(process: subprocess.Popen[bytes], socket: str) -> None:
    wait_until_healthy(socket)
    with PhaseClient(socket) as client, grpc.insecure_channel(socket) as channel:
        client.start("r", {"samples": 1_000_000})
        call = PhaseServiceStub(channel).WatchRun(phase_pb2.WatchRunRequest(run_id="r"))
        next(call)
        process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError, match="the run goes on"):
            list(call)
    assert process.wait(60) == 0


def test_the_parent_imports_no_torch(home: Path, socket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTFORGE_HOME", str(home))
    code = f"""
import asyncio, sys
from agentforge.client import AsyncPhaseClient
from agentforge.kit.paths import home
from agentforge.kit.phase import load_pipeline
from agentforge.kit.serve.server import PhaseServer
async def main():
    server = PhaseServer(load_pipeline().spec("echo"), home(), {socket!r})
    await server.start()
    async with AsyncPhaseClient(server.target) as client:
        await client.run("r")
    await server.stop()
asyncio.run(main())
print([m for m in ("torch", "numpy", "transformers", "sqlalchemy", "fastapi") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


def test_healthy_soon(process: subprocess.Popen[bytes], socket: str) -> None:
    """`make bench` measures it (aim: 2 s); here only that nothing slow, such as torch, crept in."""
    began = time.monotonic()
    wait_until_healthy(socket)
    assert time.monotonic() - began < 25


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["ecko", "--listen", "unix:/tmp/x"], 2, "Did you mean 'echo'?"),
        (["echo", "--listen", "unix:/tmp/x", "--tls-cert", "c.pem"], 2, "--tls-key"),
        (["echo"], 2, "--listen"),
    ],
)
def test_wrong_arguments(arguments: list[str], code: int, says: str) -> None:
    done = subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTFORGE_HOME", str(home))
    with sockets.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [*COMMAND, "echo", "--listen", listen], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 2
    assert "cannot listen on" in done.stderr
    assert "Traceback" not in done.stderr
