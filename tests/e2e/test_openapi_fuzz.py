"""Schemathesis over the HTTP API of a real gateway: what the schema says holds, and nothing is a server error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.system import System

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.parametrize(
    ("phases", "examples"),
    [("examples,fuzzing", 4), pytest.param("examples,coverage,fuzzing", 15, marks=pytest.mark.slow)],
)
def test_nothing_is_a_server_error(tmp_path: Path, phases: str, examples: int) -> None:
    system = System(tmp_path / "home", ("echo", "count", "fail", "leak"))
    try:
        system.start()
        system.finish(system.submit("echo", echo={}))  # so that lists are not empty
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{system.port}/openapi.json"),
                *("--checks", CHECKS, "--max-examples", str(examples), "--phases", phases),
                *("--seed", "1", "--request-timeout", "60", "--no-color", "--warnings", "off", "--no-shrink"),
                *("--generation-database", "none"),
            ],
            capture_output=True,
            text=True,
            timeout=270,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        assert "Traceback" not in system.gateway.log
    finally:
        system.close()
