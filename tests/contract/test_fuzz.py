"""Nonsense of every kind gives a clear refusal: never INTERNAL or UNKNOWN, no traceback, and the service lives."""

from __future__ import annotations

import random
import socket

import grpc
import pytest
from google.protobuf import struct_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentforge.client import PhaseClient
from agentforge.kit.phase import PhaseSpec
from agentforge.v1 import artifact_pb2, phase_pb2
from agentforge.v1.phase_pb2_grpc import PhaseServiceStub
from tests.harness import Service

BAD_CODES = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
METHODS = ["DescribePhase", "ValidateConfig", "StartRun", "GetRun", "ListRuns", "CancelRun"]

scalars = st.none() | st.booleans() | st.floats() | st.text(max_size=20)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
)
texts = st.text(max_size=40) | st.sampled_from(["../..", "/", "runs", "runs/x/y/output/z", "a\x00", "mine", "."])
artifacts = st.builds(
    artifact_pb2.Artifact, name=texts, kind=st.sampled_from(["text", "model", ""]) | texts, path=texts, sha256=texts
)


def struct(values: object) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(values)  # type: ignore[arg-type]
    return message


def answered(call: grpc.UnaryUnaryMultiCallable, request: object) -> grpc.StatusCode:  # type: ignore[type-arg]
    code, details = outcome(call, request)
    assert code not in BAD_CODES, (code, details)
    assert "Traceback" not in details
    assert 'File "' not in details
    return code


def outcome(call: grpc.UnaryUnaryMultiCallable, request: object) -> tuple[grpc.StatusCode, str]:  # type: ignore[type-arg]
    try:
        call(request, timeout=60)
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


@FUZZ
@given(
    config=st.dictionaries(st.text(max_size=12) | st.just("seed"), json_values, max_size=5),
    preset=st.text(max_size=8),
)
def test_configs(service: Service, client: PhaseClient, config: dict[str, object], preset: str) -> None:
    with grpc.insecure_channel(service.target) as channel:
        stub = PhaseServiceStub(channel)
        answered(stub.ValidateConfig, phase_pb2.ValidateConfigRequest(config=struct(config), preset=preset))


@FUZZ
@given(
    run_id=texts,
    inputs=st.lists(artifacts, max_size=3),
    config=st.dictionaries(st.text(max_size=5), scalars, max_size=2),
)
def test_start_requests(
    service: Service,
    client: PhaseClient,
    run_id: str,
    inputs: list[artifact_pb2.Artifact],
    config: dict[str, object],
) -> None:
    request = phase_pb2.StartRunRequest(run_id=run_id, inputs=inputs, config=struct({"no-such-field": 1, **config}))
    with grpc.insecure_channel(service.target) as channel:
        assert answered(PhaseServiceStub(channel).StartRun, request) != grpc.StatusCode.OK


@FUZZ
@given(size=st.integers(), token=st.text(max_size=60), after=st.integers(0, 2**64 - 1), run_id=texts)
def test_list_and_watch(
    service: Service, client: PhaseClient, size: int, token: str, after: int, run_id: str
) -> None:
    size = max(-(2**31), min(2**31 - 1, size))
    with grpc.insecure_channel(service.target) as channel:
        stub = PhaseServiceStub(channel)
        answered(stub.ListRuns, phase_pb2.ListRunsRequest(page_size=size, page_token=token))
        answered(
            lambda r, timeout: list(stub.WatchRun(r, timeout=timeout)),  # type: ignore[arg-type]
            phase_pb2.WatchRunRequest(run_id=run_id or "x", after_sequence=after),
        )


@pytest.mark.parametrize("method", METHODS)
def test_bytes_that_are_no_message(service: Service, client: PhaseClient, method: str) -> None:
    chance = random.Random(method)
    with grpc.insecure_channel(service.target) as channel:
        call = channel.unary_unary(f"/agentforge.v1.PhaseService/{method}")
        for length in (1, 2, 10, 100, 10_000):
            answered(call, chance.randbytes(length))
        assert answered(call, b"\xff" * 50) == grpc.StatusCode.INVALID_ARGUMENT


def test_a_method_that_is_not_there(service: Service, client: PhaseClient) -> None:
    with grpc.insecure_channel(service.target) as channel:
        assert (
            answered(channel.unary_unary("/agentforge.v1.PhaseService/Explode"), b"")
            == grpc.StatusCode.UNIMPLEMENTED
        )


def test_a_config_of_100_megabytes(service: Service, client: PhaseClient) -> None:
    request = phase_pb2.StartRunRequest(run_id="huge", config=struct({"text": "x" * 100_000_000}))
    with grpc.insecure_channel(service.target) as channel:
        code = answered(PhaseServiceStub(channel).StartRun, request)
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_random_bytes_on_the_socket(service: Service, client: PhaseClient, spec: PhaseSpec) -> None:
    chance = random.Random(7)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for number in range(60):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(5)
            raw.connect(service.target.removeprefix("unix:"))
            try:
                raw.sendall((preface if number % 2 else b"") + chance.randbytes(chance.randrange(1, 5000)))
                raw.recv(1000)
            except (TimeoutError, ConnectionError):
                pass
    assert client.describe().name == spec.name
