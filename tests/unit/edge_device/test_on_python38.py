"""The toy package under a real Python 3.8 with the package's own pins: AGENTFORGE_PYTHON38 names that Python."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from agentforge.v1 import edge_pb2, edge_pb2_grpc

PYTHON = os.environ.get("AGENTFORGE_PYTHON38", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON, reason="AGENTFORGE_PYTHON38 names no Python 3.8 with the package's requirements"
    ),
]
ADDRESS = re.compile(r"gRPC on (\S+), /metrics")


@pytest.fixture
def unpacked(package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(package, tmp_path / "agentforge-toy"))


def test_verify_answers_as_the_host_did(unpacked: Path) -> None:
    command = [PYTHON, "verify.py", "--threads", "1", "--steps", "40"]
    done = subprocess.run(command, cwd=unpacked, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads((unpacked / "verification.json").read_text())
    assert report["device"]["python"].startswith("3.8.")
    assert report["device"]["libraries"]["onnxruntime"] == "1.19.2"
    assert report["results"][0]["golden"]["equal"] == 2
    assert not list(unpacked.rglob("__pycache__"))
    for file, words in (("state", "runtime/state.py: 0 bytes"), ("package", "runtime/ is damaged: cannot import")):
        (unpacked / f"runtime/{file}.py").write_text("")
        done = subprocess.run(command, cwd=unpacked, capture_output=True, text=True, timeout=120)
        assert done.returncode == 2
        assert words in done.stderr


@pytest.fixture
def served(unpacked: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [PYTHON, "serve.py", "--port", "0", "--http-port", "0", "--threads", "1"]
    with subprocess.Popen(command, cwd=unpacked, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            found = ADDRESS.search(line)
            if found:
                yield process, found[1]
                break
        else:
            pytest.fail(said)
        process.kill()


def test_the_hosts_client_is_served(served: tuple[subprocess.Popen[str], str], unpacked: Path) -> None:
    process, address = served
    item = json.loads((unpacked / "golden/golden.json").read_text())["items"][1]
    with grpc.insecure_channel(address) as channel:
        stub = edge_pb2_grpc.EdgeServiceStub(channel)
        info = stub.GetInfo(edge_pb2.GetInfoRequest(), timeout=20)
        assert (info.name, info.backend.version) == ("toy", "1.19.2")
        pieces = list(stub.Generate(edge_pb2.GenerateRequest(prompt=item["prompt"], max_tokens=20), timeout=20))
        ids = [number for piece in pieces for number in piece.token_ids]
        assert ids == item["files"]["cpu_fp32.onnx"]["ids"]
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.Generate(edge_pb2.GenerateRequest(), timeout=20))
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        health: Any = health_pb2_grpc.HealthStub(channel)
        status = health.Check(health_pb2.HealthCheckRequest(), timeout=20).status
        assert status == health_pb2.HealthCheckResponse.SERVING
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
