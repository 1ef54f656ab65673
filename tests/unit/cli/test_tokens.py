"""`agentforge tokens` against a real gateway, in plain HTTP and over mTLS."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentforge.cli.tokens import create_token, list_tokens, revoke_token, seconds_of
from agentforge.kit.errors import ForgeError, InvalidInput, Unavailable
from agentforge_gateway.app import Gateway
from agentforge_gateway.settings import GatewaySettings
from tests.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ca")


@pytest.fixture
def gateway(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("AGENTFORGE_PIPELINE", "tests.phases.pipeline")
    certificate, key = authority.issue("server")
    settings = GatewaySettings(
        home=tmp_path, listen="127.0.0.1:0", grpc_listen="", token="r00t",
        tls_cert=certificate, tls_key=key, tls_client_ca=authority.certificate,
    )  # fmt: skip
    loop, made = asyncio.new_event_loop(), Gateway(settings)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(made.start(), loop).result(30)
    monkeypatch.setenv("AGENTFORGE_TOKEN", "r00t")
    certificate, key = authority.issue("user")
    for name, path in (("CA", authority.certificate), ("CERT", certificate), ("KEY", key)):
        monkeypatch.setenv(f"AGENTFORGE_CLIENT_TLS_{name}", str(path))
    yield f"https://{made.http_address}"
    asyncio.run_coroutine_threadsafe(made.stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_token_s_life(gateway: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    create_token(gateway, "[b]Ada[/b]", ["run"], "30d", as_json=True)
    made = json.loads(capsys.readouterr().out)
    assert made["secret"].startswith("af_")
    create_token(gateway, "other", ["read"], "", as_json=False)
    assert "not shown again" in capsys.readouterr().out
    list_tokens(gateway, as_json=False)
    said = capsys.readouterr().out
    assert "[b]Ada[/b]" in said
    assert made["secret"] not in said
    revoke_token(gateway, made["token_id"], as_json=False)
    assert "opens nothing" in capsys.readouterr().out
    list_tokens(gateway, as_json=True)
    listed = json.loads(capsys.readouterr().out)
    assert [bool(one["revoke_time"]) for one in listed] == [False, True]
    for scopes, expires in ((["all"], ""), (["run"], "30")):
        with pytest.raises(InvalidInput):
            create_token(gateway, "x", scopes, expires, as_json=False)
    for token_id in ("t-0000000000000000", made["secret"], "../runs"):
        with pytest.raises(InvalidInput) as caught:
            revoke_token(gateway, token_id, as_json=False)
        assert caught.value.reason == "UNKNOWN_TOKEN"
    monkeypatch.setenv("AGENTFORGE_TOKEN", made["secret"])
    with pytest.raises(ForgeError) as refused:
        list_tokens(gateway, as_json=False)
    assert refused.value.reason == "UNAUTHENTICATED"
    monkeypatch.delenv("AGENTFORGE_CLIENT_TLS_CA")
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        list_tokens(gateway, as_json=False)


def test_nobody_there() -> None:
    with pytest.raises(Unavailable):
        list_tokens("http://127.0.0.1:1", as_json=False)


def test_lengths_of_time() -> None:
    assert [seconds_of(text) for text in ("30d", "12h", "5m", "9s")] == [2_592_000, 43_200, 300, 9]
    for bad in ("", "30", "d", "-1d", "0d", "1w", "1.5h", "٣d"):
        with pytest.raises(InvalidInput):
            seconds_of(bad)
