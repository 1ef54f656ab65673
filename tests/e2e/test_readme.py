"""The README's Python client, run as it stands there."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

from tests.harness import ROOT, TEST_PIPELINE, Service, environment, running


def test_the_python_client_of_the_readme(tmp_path: Path) -> None:
    block = re.search(
        r"<!-- test: python-client -->\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    assert block is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    home = tmp_path / "home"
    home.mkdir()
    service = Service(
        [sys.executable, "-m", "agentforge.cli", "serve", "echo", "--listen", address], home, TEST_PIPELINE, "echo"
    )
    service.target = address
    with running(service):
        done = subprocess.run(
            [sys.executable, "-c", block.group(1).replace("127.0.0.1:50051", address)],
            env=environment(home, TEST_PIPELINE),
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    assert "RUN_STATE_SUCCEEDED" in done.stdout
    assert "runs/second/echo/output/text" in done.stdout
