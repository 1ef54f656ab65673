"""The gateway's image holds nothing that phases stand on, and their names are all that it needs of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentforge.kit.errors import InvalidInput
from agentforge.kit.phase import Pipeline
from agentforge.pipeline import PIPELINE

START = """
import asyncio, sys
for name in ("torch", "numpy", "tokenizers", "safetensors", "transformers", "onnx", "optuna", "peft"):
    sys.modules[name] = None  # to import it is an ImportError
from agentforge_gateway.app import Gateway
from agentforge_gateway.settings import GatewaySettings

async def story():
    gateway = Gateway(GatewaySettings(listen="127.0.0.1:0", grpc_listen="127.0.0.1:0", database_url=""))
    await gateway.start()
    print(*gateway.parts.links.names)
    await gateway.stop()

asyncio.run(story())
"""


def test_a_gateway_starts_where_no_phase_could(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENTFORGE_")}
    done = subprocess.run(
        [sys.executable, "-c", START],
        env=environment | {"AGENTFORGE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [spec.name for spec in PIPELINE.specs]


def test_a_name_that_is_not_the_phases_own(tmp_path: Path) -> None:
    pipeline = Pipeline(ecko="tests.phases.echo:SPEC", presets=tmp_path)
    assert pipeline.names == ("ecko",)
    with pytest.raises(InvalidInput, match=r"'ecko'.*'echo'"):
        _ = pipeline.specs
