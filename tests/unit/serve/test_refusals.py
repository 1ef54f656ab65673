"""What strangers may send: no INTERNAL, no traceback, no crash."""

import random
import socket as sockets
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentforge.client import ClientTls, PhaseClient, forge_error
from agentforge.kit.errors import ForgeError, InvalidInput, ResourceExhausted, Unauthenticated, Unavailable
from agentforge.kit.serve.servicer import PhaseServicer
from agentforge.kit.serve.tls import TlsFiles
from agentforge.v1 import phase_pb2
from tests.unit.serve.conftest import Service

METHODS = ["ValidateConfig", "StartRun", "GetRun", "ListRuns", "CancelRun"]
PREFIX = "/agentforge.v1.PhaseService/"
GARBAGE = b"\x0a\xff\xff\xff\xff\xff"


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return str(caught.value.code().name)  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", [*METHODS, "DescribePhase"])
def test_bytes_that_are_no_message(service: Service, method: str) -> None:
    with grpc.insecure_channel(service.target) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(PREFIX + method)(GARBAGE)
        error = forge_error(caught.value)
        assert isinstance(error, InvalidInput)
        assert error.reason == "MALFORMED_MESSAGE"


def test_bytes_that_are_no_message_to_streams_health_and_reflection(service: Service) -> None:
    with grpc.insecure_channel(service.target) as channel:
        assert code_of(lambda: list(channel.unary_stream(PREFIX + "WatchRun")(GARBAGE))) == "INVALID_ARGUMENT"
        assert code_of(lambda: channel.unary_unary("/grpc.health.v1.Health/Check")(GARBAGE)) == "INVALID_ARGUMENT"
        info = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        assert code_of(lambda: list(channel.stream_stream(info)(iter([GARBAGE])))) == "INVALID_ARGUMENT"


def test_unknown_methods_and_services(service: Service) -> None:
    with grpc.insecure_channel(service.target) as channel:
        for name in (PREFIX + "Nothing", "/some.Other/Service"):
            assert code_of(lambda name=name: channel.unary_unary(name)(b"")) == "UNIMPLEMENTED"


def test_a_message_of_100_megabytes(service: Service) -> None:
    config = {"text": "x" * 100_000_000}
    with service.client() as client:
        with pytest.raises(ResourceExhausted):
            client.start("r", config)
        assert client.describe().name == "echo"


def test_a_config_below_the_message_limit_but_too_large(client: PhaseClient) -> None:
    with pytest.raises(InvalidInput) as caught:
        client.start("r", {"text": "x" * 3_000_000})
    assert caught.value.reason == "CONFIG_TOO_LARGE"


def test_nesting(client: PhaseClient) -> None:
    for levels in (20, 29, 30, 31, 32, 33, 34, 60):
        deep: dict[str, Any] = {}
        for _ in range(levels):
            deep = {"a": deep}
        with pytest.raises(InvalidInput):
            client.start("r", deep)
    for what in ({"text": object()}, {"text": "half \ud800"}):
        with pytest.raises(InvalidInput, match="cannot be sent"):
            client.start("r", what)


def test_a_value_without_a_value(service: Service) -> None:
    request = phase_pb2.StartRunRequest(run_id="r")
    request.config.fields["text"].CopyFrom(struct_pb2.Value())
    with service.client() as client, pytest.raises(InvalidInput, match="without a value") as caught:
        client._call(client._stub.StartRun, request)
    assert caught.value.field == "text"


def test_many_long_violations_fit_into_the_answer(client: PhaseClient) -> None:
    wrong = {f"{number}{'ü' * 300}": number for number in range(200)}
    with pytest.raises(InvalidInput) as caught:
        client.start("r", wrong)
    assert caught.value.violations
    assert caught.value.reason == "UNKNOWN_FIELD"


def test_a_bug_gives_a_reference_and_no_traceback(
    serve: Callable[..., Service], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: PhaseServicer, request: object, context: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(PhaseServicer, "GetRun", broken)
    with serve().client() as client, pytest.raises(ForgeError, match="reference") as caught:
        client.get("r")
    assert "secret" not in str(caught.value)
    reference = caught.value.message.rpartition(" ")[2]
    assert reference in caplog.text
    assert "secret detail" in caplog.text


@given(
    method=st.sampled_from(METHODS),
    data=st.binary(max_size=200),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes(service: Service, method: str, data: bytes) -> None:
    with grpc.insecure_channel(service.target) as channel:
        code = channel.unary_unary(PREFIX + method).future(data, timeout=20).code()
        assert code.name not in ("INTERNAL", "UNKNOWN")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(config=st.dictionaries(st.sampled_from(["text", "repeat", "seed", "samples", "x"]), json_values, max_size=4))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_config(service: Service, config: dict[str, Any]) -> None:
    with service.client() as client:
        for violation in client.validate(config).violations:
            assert violation.message
            assert "Traceback" not in violation.message


@given(
    name=st.text(max_size=20), kind=st.sampled_from(["text", "model", ""]),
    path=st.text(max_size=40) | st.sampled_from(["runs", ".", "runs/../..", "a\0"]), sha256=st.text(max_size=64),
)  # fmt: skip
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_artifact(service: Service, name: str, kind: str, path: str, sha256: str) -> None:
    request = phase_pb2.StartRunRequest(run_id="r")
    request.inputs.add(name=name, kind=kind, path=path, sha256=sha256)
    with service.client() as client, pytest.raises(ForgeError) as caught:
        client._call(client._stub.StartRun, request)
    assert caught.value.grpc_code != "INTERNAL"


def test_noise_on_the_port(serve: Callable[..., Service]) -> None:
    service = serve(listen="127.0.0.1:0")
    host, _, port = service.target.partition(":")
    noise = random.Random(1)
    for _ in range(20):
        with sockets.create_connection((host, int(port))) as connection:
            connection.sendall(noise.randbytes(1000))
    with service.client() as client:
        assert client.describe().name == "echo"


def test_health_and_reflection(service: Service) -> None:
    with grpc.insecure_channel(service.target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "agentforge.v1.PhaseService"):
            assert health.Check(health_pb2.HealthCheckRequest(service=name)).status == 1
        assert code_of(lambda: health.Check(health_pb2.HealthCheckRequest(service="x"))) == "NOT_FOUND"
        watched = health.Watch(health_pb2.HealthCheckRequest())
        assert next(watched).status == 1
        reflect = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        (answer,) = reflect.ServerReflectionInfo(asked)
        assert "agentforge.v1.PhaseService" in [s.name for s in answer.list_services_response.service]
        service.stop()
        assert next(watched).status == 2


def test_a_token_is_needed_where_one_is_set(serve: Callable[..., Service]) -> None:
    service = serve(token="secrét")
    for token in ("", "secret", "x" * 5000):
        with service.client(token=token) as client:
            calls: list[Callable[[], object]] = [client.describe, lambda: list(client.watch("r"))]
            for call in calls:
                with pytest.raises(Unauthenticated) as caught:
                    call()
                assert caught.value.field == "authorization"
    with grpc.insecure_channel(service.target) as channel:
        assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status == 1


def test_the_right_token(serve: Callable[..., Service]) -> None:
    with serve(token="s3cret").client(token="s3cret") as client:
        assert client.describe().name == "echo"


def openssl(place: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=place, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and a server's and a client's certificates by it."""
    place = tmp_path_factory.mktemp("tls")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(place, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2")
    (place / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl(place, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            place, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", "san",
        )  # fmt: skip
    return place


def test_tls(serve: Callable[..., Service], certificates: Path) -> None:
    files = TlsFiles(certificates / "server.pem", certificates / "server.key")
    service = serve(listen="localhost:0", tls=files)
    with service.client(tls=ClientTls(certificates / "ca.pem")) as client:
        assert client.describe().name == "echo"
    for tls in (None, ClientTls()):
        with service.client(tls=tls, timeout=5) as client, pytest.raises(Unavailable):
            client.describe()


def test_mutual_tls(serve: Callable[..., Service], certificates: Path) -> None:
    files = TlsFiles(certificates / "server.pem", certificates / "server.key", certificates / "ca.pem")
    service = serve(listen="localhost:0", tls=files)
    ours = ClientTls(certificates / "ca.pem", certificates / "client.pem", certificates / "client.key")
    with service.client(tls=ours) as client:
        assert client.describe().name == "echo"
    with service.client(tls=ClientTls(certificates / "ca.pem"), timeout=5) as client, pytest.raises(Unavailable):
        client.describe()


def test_tls_files_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no")
    for place in (tmp_path / "missing", tmp_path / "no.pem"):
        with pytest.raises(InvalidInput) as caught:
            TlsFiles(place, place).server_credentials()
        assert caught.value.reason == "TLS_FILE"
    with pytest.raises(InvalidInput):
        ClientTls(certificate=tmp_path / "x").credentials()


def test_nobody_listens_twice(serve: Callable[..., Service]) -> None:
    first = serve(listen="127.0.0.1:0")
    with pytest.raises(ForgeError) as caught:
        serve(listen=first.target)
    assert caught.value.reason == "LISTEN_FAILED"
