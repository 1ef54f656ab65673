"""TLS and mTLS on real sockets: what gets in, what does not and why, and certificates that are renewed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from agentforge.client import ClientTls, PhaseClient
from agentforge.kit.errors import InvalidInput, Unavailable
from agentforge.kit.serve.tls import Stamps, TlsFiles
from tests.certificates import Authority, Pair
from tests.unit.serve.conftest import Service


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"), "ca")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("theirs"), "ca")


@pytest.fixture
def mutual(serve: Callable[..., Service], ours: Authority) -> Service:
    files = TlsFiles(*ours.issue("server"), ours.certificate)
    return serve(listen="localhost:0", tls=files, health_listen="127.0.0.1:0")


def refusal(service: Service, tls: ClientTls | None) -> Unavailable:
    with service.client(tls=tls, timeout=10) as client, pytest.raises(Unavailable) as caught:
        client.describe()
    return caught.value


def test_who_gets_in(mutual: Service, ours: Authority, theirs: Authority) -> None:
    trusted = ours.certificate
    with mutual.client(tls=ClientTls(trusted, *ours.issue("client"))) as client:
        assert client.describe().name == "echo"
    error = refusal(mutual, None)
    assert error.reason == "TLS_NEEDED"
    assert "speaks TLS" in error.message
    error = refusal(mutual, ClientTls(trusted))
    assert error.reason == "TLS_HANDSHAKE"
    assert "client certificate" in error.message
    for strange in (theirs.issue("stranger"), ours.issue("late", days=-1)):
        refusal(mutual, ClientTls(trusted, *strange))
    error = refusal(mutual, ClientTls(theirs.certificate, *ours.issue("client")))
    assert "not of an authority" in error.message
    with grpc.insecure_channel(mutual.server.health_target) as channel:  # probes hold no certificate
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    ("issue", "says"),
    [
        ({"days": -1}, "expired"),
        ({"hosts": ("elsewhere.example",)}, "another name"),
    ],
)
def test_servers_that_are_not_trusted(
    serve: Callable[..., Service], ours: Authority, issue: dict[str, object], says: str
) -> None:
    pair: Pair = ours.issue("bad", **issue)  # type: ignore[arg-type]
    service = serve(listen="localhost:0", tls=TlsFiles(*pair))
    error = refusal(service, ClientTls(ours.certificate))
    assert (error.reason, says in error.message) == ("TLS_HANDSHAKE", True), error.message
    if says == "another name":
        named = ClientTls(ours.certificate, name="elsewhere.example")
        with service.client(tls=named) as client:
            assert client.describe().name == "echo"


def test_no_tls_where_it_is_asked_for(serve: Callable[..., Service], ours: Authority) -> None:
    error = refusal(serve(listen="localhost:0"), ClientTls(ours.certificate))
    assert "speaks no TLS" in error.message
    with PhaseClient("localhost:1", timeout=5) as client, pytest.raises(Unavailable) as caught:
        client.describe()
    assert caught.value.reason == "UNAVAILABLE"  # nobody there: TLS is not the reason


@pytest.fixture
def renewed(serve: Callable[..., Service], ours: Authority, tmp_path: Path) -> tuple[Service, Path]:
    place = tmp_path / "mounted"
    place.mkdir()
    for source, name in zip(ours.issue("first"), ("tls.crt", "tls.key"), strict=True):
        shutil.copy(source, place / name)
    return serve(listen="localhost:0", tls=TlsFiles(place / "tls.crt", place / "tls.key")), place


def test_a_renewed_certificate(renewed: tuple[Service, Path], ours: Authority, theirs: Authority) -> None:
    """From an authority to another one, while a stream is open."""
    service, place = renewed
    with service.client(tls=ClientTls(ours.certificate)) as client:
        client.start("long", {"samples": 1_000_000})
        stream = client.watch("long")
        next(stream)
        (place / "tls.crt").write_bytes(b"half")  # somebody copies, and is not done
        with service.client(tls=ClientTls(ours.certificate)) as other:
            assert other.describe().name == "echo"
        for source, name in zip(theirs.issue("second"), ("tls.crt", "tls.key"), strict=True):
            shutil.copy(source, place / name)
        with service.client(tls=ClientTls(theirs.certificate)) as other:
            assert other.describe().name == "echo"
        assert "not of an authority" in refusal(service, ClientTls(ours.certificate)).message
        assert len([next(stream) for _ in range(50)]) == 50  # the open stream goes on
        client.cancel("long")


def test_files_that_change(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("1")
    stamps = Stamps([file])
    assert not stamps.changed()
    file.write_text("22")
    assert stamps.changed()
    assert not stamps.changed()
    stamps.again()
    assert stamps.changed()
    file.unlink()
    assert not stamps.changed()  # in the middle of being replaced
    file.write_text("333")
    assert stamps.changed()


def test_a_key_of_another_certificate(serve: Callable[..., Service], ours: Authority) -> None:
    certificate, _ = ours.issue("one")
    _, key = ours.issue("two")
    with pytest.raises(InvalidInput) as caught:
        serve(listen="localhost:0", tls=TlsFiles(certificate, key))
    assert caught.value.reason == "TLS_FILE"
