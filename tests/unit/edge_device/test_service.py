"""The gRPC service, its limits, health and metrics, over real sockets with the host's generated client."""

from __future__ import annotations

import argparse
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from agentforge.edge.device.runtime import choose as choosing
from agentforge.edge.device.runtime import server as served
from agentforge.edge.device.runtime.server import Running, parser, start
from agentforge.v1 import edge_pb2, edge_pb2_grpc

from .toy import EOS

QUICK = ["--port", "0", "--http-port", "0", "--threads", "1", "--concurrent", "2", "--max-tokens", "64"]


class Gate:
    """Surrounds the real backend: a test can hold every step back."""

    def __init__(self, backend: Any) -> None:
        self.backend, self.open, self.steps = backend, threading.Event(), 0
        self.name, self.version, self.file = backend.name, backend.version, backend.file
        self.open.set()

    def run(self, inputs: Any) -> Any:
        self.open.wait(20)
        self.steps += 1
        outputs = self.backend.run(inputs)
        outputs["logits"][:, EOS] = -1e9  # so that answers are as long as they may be
        return outputs


def options(package: Path, *more: str) -> argparse.Namespace:
    return parser(package).parse_args([*QUICK, *more])


@pytest.fixture(scope="module")
def gate() -> list[Gate]:
    return []


@pytest.fixture(scope="module")
def running(package: Path, gate: list[Gate]) -> Iterator[Running]:
    real = choosing.choose

    def choose(*arguments: Any) -> Any:
        choice = real(*arguments)
        gate.append(Gate(choice.backend))
        return choice._replace(backend=gate[0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(served, "choose", choose)
        made = start(options(package, "--step-limit", "0.4", "--grace", "60"))
    yield made
    made.stop(1)


@pytest.fixture(scope="module")
def channel(running: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{running.port}") as made:
        yield made


@pytest.fixture
def stub(channel: grpc.Channel) -> edge_pb2_grpc.EdgeServiceStub:
    return edge_pb2_grpc.EdgeServiceStub(channel)


def page(running: Running, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{running.http_port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come about within 10 s"
        time.sleep(0.01)


def test_it_answers_as_a_stream(stub: Any, running: Running) -> None:
    asked = edge_pb2.GenerateRequest(prompt="Grüße", max_tokens=10, temperature=1, seed=4)
    first, second = (list(stub.Generate(asked, timeout=20)) for _ in range(2))
    ids = [number for piece in first for number in piece.token_ids]
    assert ids == [number for piece in second for number in piece.token_ids]
    assert len(ids) == first[-1].stats.tokens == 10
    assert first[-1].finish_reason == edge_pb2.FINISH_REASON_LENGTH
    assert first[-1].stats.prompt_tokens == 7
    assert first[-1].stats.seconds_to_first_token > 0
    assert [piece.finish_reason for piece in first[:-1]] == [0] * 10
    metrics = page(running, "/metrics")[1]
    assert 'agentforge_edge_requests_total{status="OK"} 2' in metrics
    assert 'agentforge_edge_tokens_total{kind="generated"} 20' in metrics
    assert "agentforge_edge_token_seconds_count 18" in metrics
    assert 'le="+Inf"} 18' in metrics


def test_info_says_what_runs_and_why(stub: Any, running: Running) -> None:
    told = stub.GetInfo(edge_pb2.GetInfoRequest(), timeout=5)
    assert (told.name, told.version, told.context, told.max_tokens) == ("toy", "1.0", 96, 64)
    assert (told.backend.name, told.backend.file) == ("onnxruntime", "cpu_fp32.onnx")
    assert told.backend.reason.startswith("the best that is here; tensorrt: ")
    assert 'name="onnxruntime"' in page(running, "/metrics")[1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": "a" * 96}, "prompt has 96 tokens, and with an answer the model's context holds 96"),
        ({"prompt": "a", "max_tokens": 65}, "max_tokens must be between 0 and 64, not 65"),
        ({"prompt": "a", "max_tokens": -1}, "not -1"),
        (
            {"prompt": "a", "temperature": -0.5, "top_p": 2},
            "temperature must be 0 or more and finite, not -0.5; top_p",
        ),
        ({"prompt": "a", "temperature": float("nan")}, "not nan"),
        ({"prompt": "a", "top_k": -2}, "top_k"),
        ({"prompt": "a", "stop": ["x", ""]}, "stop takes at most 16 strings of 1 to 256 characters"),
    ],
)
def test_bad_requests_are_refused_in_words(stub: Any, fields: Any, words: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Generate(edge_pb2.GenerateRequest(**fields), timeout=5))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert words in str(caught.value.details())


def test_too_many_at_once_and_a_client_that_goes_away(stub: Any, gate: list[Gate], running: Running) -> None:
    gate[0].open.clear()
    asked = edge_pb2.GenerateRequest(prompt="abc", max_tokens=64)
    held = [stub.Generate(asked, timeout=30) for _ in range(2)]
    until(lambda: "requests_running 2" in page(running, "/metrics")[1])
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Generate(asked, timeout=5))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.details() == "2 answers are being generated already: try again later"
    for each in held:
        each.cancel()
    before = gate[0].steps
    gate[0].open.set()
    until(lambda: "requests_running 0" in page(running, "/metrics")[1])
    assert gate[0].steps - before <= 4  # of 128
    assert 'requests_total{status="CANCELLED"} 2' in page(running, "/metrics")[1]
    assert len(list(stub.Generate(asked, timeout=20))) == 65  # its places are free again


def test_a_step_that_hangs_shows_in_health_and_heals(
    stub: Any, gate: list[Gate], running: Running, channel: grpc.Channel
) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)

    def status() -> Any:
        return health.Check(health_pb2.HealthCheckRequest(service="agentforge.v1.EdgeService"), timeout=5).status

    assert status() == health_pb2.HealthCheckResponse.SERVING
    assert page(running, "/healthz") == (200, "ok\n")
    gate[0].open.clear()
    answer = stub.Generate(edge_pb2.GenerateRequest(prompt="abc", max_tokens=2), timeout=30)
    until(lambda: status() == health_pb2.HealthCheckResponse.NOT_SERVING)
    assert page(running, "/healthz")[0] == 503
    gate[0].open.set()
    assert len(list(answer)) == 3
    until(lambda: status() == health_pb2.HealthCheckResponse.SERVING)


def test_a_broken_model_is_an_internal_error(stub: Any, gate: list[Gate]) -> None:
    real = gate[0].backend

    class Broken:
        def run(self, inputs: Any) -> Any:
            outputs = real.run(inputs)
            outputs["logits"] = outputs["logits"] * float("nan")
            return outputs

    gate[0].backend = Broken()
    try:
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.Generate(edge_pb2.GenerateRequest(prompt="a"), timeout=5))
    finally:
        gate[0].backend = real
    assert caught.value.code() == grpc.StatusCode.INTERNAL
    assert "no finite number" in str(caught.value.details())


def test_other_pages_are_not_there(running: Running) -> None:
    assert page(running, "/")[0] == 404
