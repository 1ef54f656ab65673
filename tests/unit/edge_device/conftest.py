"""One toy package for all tests of the runtime; a test that changes files takes a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentforge.edge.device.runtime.generate import Engine
from agentforge.edge.device.runtime.onnx_backend import OnnxBackend
from agentforge.edge.device.runtime.text import Text

from .toy import Toy, make_package


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("device") / "agentforge-toy")


@pytest.fixture(scope="session")
def toy() -> Toy:
    return Toy()


@pytest.fixture(scope="session")
def engine(package: Path, toy: Toy) -> Engine:
    return Engine(OnnxBackend(package / "models/cpu_fp32.onnx", 1), toy.graph)


@pytest.fixture(scope="session")
def text(package: Path, toy: Toy) -> Text:
    return Text(package / "tokenizer", toy.graph)
