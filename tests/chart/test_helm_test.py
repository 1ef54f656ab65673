"""The script of `helm test` against a real gateway and real phase services."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentforge.kit.config import validate_config
from agentforge.kit.serve.validate import merged
from agentforge.pipeline import PIPELINE
from tests.chart.rendering import CHART, of_kind, render
from tests.harness import TEST_PIPELINE, gateway_service, phase_service

_TOKEN = "a-token-of-the-test"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("helm") / "home"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    phase = phase_service("echo", home).start()
    listen = {"AGENTFORGE_LISTEN": f"127.0.0.1:{port}", "AGENTFORGE_TOKEN": _TOKEN}
    gateway = gateway_service(home, {"echo": phase.target}, TEST_PIPELINE, **listen).start()
    yield f"http://127.0.0.1:{port}"
    gateway.close()
    phase.close()


def _ask(
    address: str, asked: dict[str, object], place: Path, *, token: str = _TOKEN, timeout_s: float = 30
) -> subprocess.CompletedProcess[str]:
    (place / "asked.json").write_text(json.dumps(asked))
    told = {
        "GATEWAY": address,
        "ASKED": str(place / "asked.json"),
        "TIMEOUT_S": str(timeout_s),
        "AGENTFORGE_TOKEN": token,
    }
    command = [sys.executable, "-I", str(CHART / "files" / "helm_test.py")]
    return subprocess.run(command, env=os.environ | told, capture_output=True, text=True, timeout=100)


def test_a_run_that_succeeds(address: str, tmp_path: Path) -> None:
    done = _ask(address, {"preset": "tiny", "until_phase": "echo", "no_reuse": True}, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "RUN_STATE_SUCCEEDED" in done.stdout


@pytest.mark.parametrize(
    ("asked", "token", "told"),
    [
        ({"preset": "tiny", "until_phase": "ecko"}, _TOKEN, "ecko"),
        ({"preset": "tiny", "until_phase": "echo", "config": {"echo": {"txt": "a"}}}, _TOKEN, "txt"),
        ({"preset": "tiny", "until_phase": "echo"}, "wrong", "401"),
    ],
)
def test_a_refusal_is_told_at_once(
    address: str, asked: dict[str, object], token: str, told: str, tmp_path: Path
) -> None:
    done = _ask(address, asked, tmp_path, token=token)
    assert done.returncode == 1
    assert told in done.stderr


def test_nobody_answers(tmp_path: Path) -> None:
    done = _ask("http://127.0.0.1:9", {"preset": "tiny"}, tmp_path, timeout_s=1)
    assert done.returncode == 1
    assert "refused" in done.stderr


def test_what_the_chart_asks_is_valid() -> None:
    """The default overrides over the preset are a config that the phase takes."""
    asked = json.loads(of_kind(render({}), "ConfigMap")["r-agent-forge-test"]["data"]["asked.json"])
    phase = asked["until_phase"]
    assert phase == PIPELINE.names[0]
    values = merged(PIPELINE.preset(asked["preset"], phase), asked["config"][phase])
    config = validate_config(PIPELINE.spec(phase).config, values).model_dump()
    assert [config[name]["train"]["steps"] for name in ("trunk", "reasoning")] == [4, 4]
