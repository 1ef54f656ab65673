"""The gateway between mTLS on both sides: HTTP and gRPC for callers, and its calls of phases."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentforge.cli.connect import secured
from agentforge.cli.gateway import PipelineClient
from agentforge.client import ClientTls
from agentforge.kit.errors import InvalidInput, Unavailable
from agentforge.kit.phase import load_pipeline
from agentforge.kit.serve.server import PhaseServer
from agentforge.kit.serve.tls import TlsFiles
from agentforge_gateway.app import Gateway
from tests.certificates import Authority, Pair

from .conftest import World, finished, spec, sse

BODY = {"run_id": "t", "until_phase": "echo", "no_reuse": True}


def mounted(place: Path, authority: Authority, pair: Pair) -> dict[str, Path]:
    """The files of a secret as Kubernetes mounts them."""
    place.mkdir(exist_ok=True)
    found = {"ca": place / "ca.crt", "cert": place / "tls.crt", "key": place / "tls.key"}
    for source, name in zip((authority.certificate, *pair), found.values(), strict=True):
        shutil.copy(source, name)
    return found


class Secured(World):
    """A phase service with mTLS on a port, and gateways that call it with a certificate."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        (place / "made").mkdir()
        self.authority = Authority(place / "made", "ca")
        self.own = mounted(place / "own", self.authority, self.authority.issue("gateway"))
        self.served = mounted(place / "served", self.authority, self.authority.issue("phase"))

    async def serve_secured(self, name: str = "echo") -> None:
        served = self.served
        pipeline = load_pipeline()
        server = PhaseServer(
            pipeline.spec(name), self.home, "localhost:0",
            tls=TlsFiles(served["cert"], served["key"], served["ca"]), pipeline=pipeline,
        )  # fmt: skip
        await server.start()
        self.servers[name] = server

    def secured_settings(self, **others: Any) -> dict[str, Any]:
        own = {f"phase_tls_{name}": path for name, path in self.own.items()}
        return {"phases": {"echo": self.servers["echo"].target}, **own, **others}


def context(authority: Authority, pair: Pair | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=authority.certificate)
    if pair is not None:
        made.load_cert_chain(*pair)
    return made


def client(gateway: Gateway, verify: ssl.SSLContext, scheme: str = "https") -> httpx.AsyncClient:
    address = gateway.http_address.replace("127.0.0.1", "localhost")
    return httpx.AsyncClient(base_url=f"{scheme}://{address}", verify=verify, timeout=30)


def test_a_run_through_mtls_on_both_sides(place: Path) -> None:
    async def story() -> None:
        world = Secured(place)
        await world.serve_secured()
        authority = world.authority
        server = {"tls_cert": world.own["cert"], "tls_key": world.own["key"], "tls_client_ca": world.own["ca"]}
        user = authority.issue("user")
        try:
            async with world.gateway(**world.secured_settings(**server, grpc_listen="127.0.0.1:0")) as gateway:
                async with client(gateway, context(authority, user)) as http:
                    assert (await http.post("/v1/runs", json=BODY)).status_code == 201
                    frames = [frame async for frame in sse(http, "/v1/runs/t/events")]
                    assert "SUCCEEDED" in frames[-1]["data"]
                    ready = (await http.get("/readyz")).json()["phases"]
                    assert ready["echo"] == "ok"
                async with client(gateway, context(authority)) as http:
                    with pytest.raises(httpx.HTTPError):  # no certificate of its own
                        await http.get("/healthz")
                async with client(gateway, context(authority, user), "http") as http:
                    with pytest.raises(httpx.HTTPError):
                        await http.get("/healthz")
                await asyncio.to_thread(_ask_grpc, gateway, authority, user)
        finally:
            await world.down()

    asyncio.run(story())


def _ask_grpc(gateway: Gateway, authority: Authority, user: Pair) -> None:
    with PipelineClient(gateway.grpc_address, tls=ClientTls(authority.certificate, *user)) as grpc:
        assert [run.run_id for run in grpc.list(10)] == ["t"]
    with PipelineClient(gateway.grpc_address) as grpc, pytest.raises(Unavailable) as caught:
        grpc.list(10)
    assert caught.value.reason == "TLS_NEEDED"


def test_renewed_on_both_sides_while_a_run_goes_on(place: Path) -> None:
    """The whole authority is replaced, at the phase and at the gateway; the run and its stream go on."""

    async def story() -> None:
        world = Secured(place)
        await world.serve_secured()
        (place / "new").mkdir()
        new = Authority(place / "new", "another")
        try:
            files = {"tls_cert": world.own["cert"], "tls_key": world.own["key"]}
            async with world.gateway(**world.secured_settings(**files)) as gateway:
                await gateway.parts.runs.start("slow", spec("echo", echo={"samples": 400, "text": "x"}))
                mounted(place / "served", new, new.issue("phase"))
                mounted(place / "own", new, new.issue("gateway"))
                assert (await finished(gateway, "slow")).state.value == "RUN_STATE_SUCCEEDED"
                await gateway.parts.links["echo"].describe()  # on a new connection, made with the new files
                async with client(gateway, context(new)) as http:
                    assert (await http.get("/healthz")).status_code == 200
                async with client(gateway, context(world.authority)) as http:
                    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                        await http.get("/healthz")
        finally:
            await world.down()

    asyncio.run(story())


def test_phases_that_are_not_who_they_should_be(place: Path) -> None:
    async def story() -> None:
        world = Secured(place)
        await world.serve_secured()
        try:
            (place / "x").mkdir()
            stranger = Authority(place / "x", "stranger").certificate
            wrong = [
                ({"phase_tls_ca": None, "phase_tls_cert": None, "phase_tls_key": None}, "called without"),
                ({"phase_tls_ca": stranger}, "not of an authority"),
                ({"phase_tls_name": "elsewhere.example"}, "another name"),
                ({"phase_tls_cert": None, "phase_tls_key": None}, "wants a client certificate"),
            ]
            for change, says in wrong:
                async with world.gateway(**(world.secured_settings() | change)) as gateway:
                    with pytest.raises(Unavailable) as caught:
                        await gateway.parts.links["echo"].describe()
                    assert caught.value.reason == "PHASE_UNREACHABLE"
                    assert says in caught.value.message, caught.value.message
        finally:
            await world.down()

    asyncio.run(story())


def test_settings(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(place)
    (place / "token").write_text("s3cret\n")
    assert world.settings(token_file=place / "token").root_token == "s3cret"
    for wrong in ({"token": "a", "token_file": place / "token"}, {"tls_cert": place / "token"}, {"token": "ü"}):
        with pytest.raises(InvalidInput):
            Gateway(world.settings(**wrong))
    monkeypatch.setenv("AGENTFORGE_PHASE_TLS_CA", "ca.pem")
    assert world.settings().phase_tls == ClientTls(Path("ca.pem"))


def test_the_command_line_speaks_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    assert secured("host:1") == ("host:1", None)
    assert secured("https://host:1/") == ("host:1", ClientTls())
    monkeypatch.setenv("AGENTFORGE_CLIENT_TLS_CA", "ca.pem")
    assert secured("host:1") == ("host:1", ClientTls(Path("ca.pem")))
    assert secured("unix:/x") == ("unix:/x", None)
    assert secured("http://host:1") == ("host:1", None)
