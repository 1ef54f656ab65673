"""The ports beside a phase's service: health without TLS, and metrics for Prometheus."""

import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from agentforge.kit.errors import ForgeError, InvalidInput
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.serve.census import RunCensus
from agentforge.kit.serve.token import service_token
from tests.harness import worker_pids
from tests.unit.serve.conftest import Service, WrittenRun

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def scrape(service: Service, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://{service.server.metrics_target}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def value(text: str, sample: str) -> float | None:
    return next(
        (float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{sample} ")), None
    )


def scraped(service: Service, sample: str, wanted: float, seconds: float = 30) -> str:
    deadline = time.monotonic() + seconds
    while value(text := scrape(service), sample) != wanted:
        assert time.monotonic() < deadline, text
        time.sleep(0.05)
    return text


def test_health_alone(serve: Callable[..., Service]) -> None:
    service = serve(token="s3cret", health_listen="127.0.0.1:0")
    with grpc.insecure_channel(service.server.health_target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "agentforge.v1.PhaseService"):
            assert stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10).status == SERVING
        watching = stub.Watch(health_pb2.HealthCheckRequest(), timeout=30)
        assert next(watching).status == SERVING
        reflect = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        with pytest.raises(grpc.RpcError) as refused:
            list(reflect.ServerReflectionInfo(asked, timeout=10))
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        call = channel.unary_unary("/agentforge.v1.PhaseService/ListRuns")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        service.stop()
        assert next(watching).status == NOT_SERVING  # it mirrors the main port to the end


def test_metrics(serve: Callable[..., Service]) -> None:
    service = serve(metrics_listen="127.0.0.1:0")
    with service.client() as client:
        client.run("one")
        with pytest.raises(ForgeError):
            client.get("none")
        client.start("long", {"samples": 1_000_000})
        text = scraped(service, 'agentforge_phase_runs{phase="echo",state="running"}', 1)
        assert value(text, 'agentforge_phase_runs{phase="echo",state="succeeded"}') == 1
        assert value(text, 'agentforge_phase_runs{phase="echo",state="failed"}') == 0
        assert value(text, 'agentforge_phase_rpc_total{code="OK",method="StartRun"}') == 2
        assert value(text, 'agentforge_phase_rpc_total{code="NOT_FOUND",method="GetRun"}') == 1
        assert value(text, 'agentforge_phase_rpc_seconds_count{method="StartRun"}') == 2
        assert value(text, "agentforge_worker_deaths_total") == 0
        watching = client.watch("long")
        next(watching)
        assert value(scrape(service), "agentforge_phase_watchers") == 1
        os.kill(worker_pids(service.home)[0], signal.SIGKILL)
        scraped(service, "agentforge_worker_deaths_total", 1)
        client.cancel("long")
        text = scraped(service, 'agentforge_phase_runs{phase="echo",state="cancelled"}', 1)
        assert value(text, 'agentforge_phase_runs{phase="echo",state="running"}') == 0
        assert '"long"' not in text  # no run id is a label
    with pytest.raises(urllib.error.HTTPError, match="404"):
        scrape(service, "/other")


def test_a_port_that_is_taken(serve: Callable[..., Service]) -> None:
    service = serve(metrics_listen="127.0.0.1:0", health_listen="127.0.0.1:0")
    for side, taken in (
        ("metrics_listen", service.server.metrics_target),
        ("health_listen", service.server.health_target),
    ):
        with pytest.raises(ForgeError) as caught:
            serve(listen="127.0.0.1:0", **{side: taken})
        assert (caught.value.reason, caught.value.field) == ("LISTEN_FAILED", side)
    with pytest.raises(InvalidInput) as bad:
        serve(listen="127.0.0.1:0", metrics_listen="nowhere")
    assert bad.value.reason == "BAD_ADDRESS"


def test_the_census_reads_only_what_is_new(home: Path, written: Callable[..., WrittenRun]) -> None:
    run, other = written("a"), written("b")
    run.state("RUNNING")
    census = RunCensus(home, "echo")
    deadline = time.monotonic() + 30
    while (counts := census.counts()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert dict(counts) == {"RUN_STATE_RUNNING": 1, "RUN_STATE_QUEUED": 1}
    run.say("much " * 50_000)
    with run.directory.log_path.open("ab") as log:
        log.write(b'{"sequence":3,"state_chan')  # half a line: the worker is at it
    other.state("SUCCEEDED")
    assert dict(census.counts() or {}) == {"RUN_STATE_RUNNING": 1, "RUN_STATE_SUCCEEDED": 1}
    other.state("QUEUED")  # reopened by another service: found by the next whole look only
    assert dict(census.counts() or {}) == {"RUN_STATE_RUNNING": 1, "RUN_STATE_SUCCEEDED": 1}
    census.touch(RunDirectory(home, "b", "echo"))
    assert dict(census.counts() or {}) == {"RUN_STATE_RUNNING": 1, "RUN_STATE_QUEUED": 1}


def test_the_token_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    monkeypatch.setenv("AGENTFORGE_TOKEN_FILE", str(file))
    assert service_token() == "s3cret"
    monkeypatch.setenv("AGENTFORGE_TOKEN", "other")
    with pytest.raises(InvalidInput) as caught:
        service_token()
    assert caught.value.reason == "TWO_TOKENS"
    monkeypatch.delenv("AGENTFORGE_TOKEN")
    for content, reason in (
        (b"", "TOKEN_FILE"),
        (b"\n", "TOKEN_FILE"),
        (b"\xff", "TOKEN_FILE"),
        (b"a b", "BAD_TOKEN"),
    ):
        file.write_bytes(content)
        with pytest.raises(InvalidInput) as caught:
            service_token()
        assert caught.value.reason == reason
    file.unlink()
    with pytest.raises(InvalidInput, match="cannot be read"):
        service_token()
    monkeypatch.delenv("AGENTFORGE_TOKEN_FILE")
    for token in ("gehéim", "two words", "tab\t"):
        monkeypatch.setenv("AGENTFORGE_TOKEN", token)
        with pytest.raises(InvalidInput) as caught:
            service_token()
        assert caught.value.reason == "BAD_TOKEN"
