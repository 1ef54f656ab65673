"""Schemathesis over the HTTP API of a real gateway: what the schema says holds, and nothing is a server error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.bench.system import System

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


PHASES = ("echo", "count", "fail", "leak")
ROOT = {"Authorization": "Bearer r00t"}


@pytest.mark.parametrize(
    ("phases", "examples"),
    [("examples,fuzzing", 4), pytest.param("examples,coverage,fuzzing", 15, marks=pytest.mark.slow)],
)
def test_nothing_is_a_server_error(tmp_path: Path, phases: str, examples: int) -> None:
    system = System(tmp_path / "home", PHASES)
    try:
        system.start()
        system.finish(system.submit("echo", echo={}))  # so that lists are not empty
        fuzz(system, tmp_path, phases, examples)
    finally:
        system.close()


@pytest.mark.slow
@pytest.mark.parametrize("scopes", [(), ("read",), ("run",), ("promote",), ("admin",)])
def test_what_a_scope_forbids_is_not_reached(tmp_path: Path, scopes: tuple[str, ...]) -> None:
    """Without a token, and with tokens of one scope: the audit log has every attempt to change something."""
    system = System(tmp_path / "home", PHASES, AGENTFORGE_TOKEN="r00t")
    try:
        system.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{system.port}", headers=ROOT, timeout=30) as root:
            secret = ""
            if scopes:
                made = root.post("/v1/tokens", json={"name": "fuzzer", "scopes": scopes})
                assert made.status_code == 201, made.text
                secret = made.json()["secret"]
            fuzz(system, tmp_path, "examples,fuzzing", 6, secret)
            entries = attempts(root)
            assert entries, "nothing that changes anything was tried"
            done = {one["action"] for one in entries if one["outcome"].startswith("2")}
            refused = [one for one in entries if one["outcome"].startswith(("401", "403"))]
            if "admin" not in scopes:
                assert not any("/v1/tokens" in action for action in done)
            if "run" not in scopes:
                assert not any("/runs" in action for action in done)
            if not {"promote"} & set(scopes):
                assert not any(":promote" in action or ":rollback" in action for action in done)
            if set(scopes) <= {"read"}:
                assert not done
            assert refused
    finally:
        system.close()


def attempts(root: httpx.Client) -> list[dict[str, str]]:
    """All but root's own."""
    entries: list[dict[str, str]] = []
    page = ""
    while True:
        answer = root.get("/v1/audit", params={"page_token": page} if page else {}).json()
        entries += answer["entries"]
        page = answer.get("next_page_token", "")
        if not page:
            return [one for one in entries if one["token_name"] != "root"]


def fuzz(system: System, place: Path, phases: str, examples: int, secret: str = "") -> None:
    url = f"http://127.0.0.1:{system.port}"
    schema = place / "openapi.json"  # fetched by root: without a token it is not told either
    schema.write_bytes(httpx.get(f"{url}/openapi.json", headers=ROOT).raise_for_status().content)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(schema), "--url", url),
            *("--checks", CHECKS, "--max-examples", str(examples), "--phases", phases),
            *("--seed", "1", "--request-timeout", "60", "--no-color", "--warnings", "off", "--no-shrink"),
            *("--generation-database", "none"),
            *(("-H", f"Authorization: Bearer {secret}") if secret else ()),
        ],
        capture_output=True,
        text=True,
        timeout=270,
        check=False,
        cwd=place,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Traceback" not in system.gateway.log
