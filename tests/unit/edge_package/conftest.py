from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.unit.edge_package import toy


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The staged toy; not to be written to."""
    return toy.stage(tmp_path_factory.mktemp("toy") / "staged")


@pytest.fixture
def staged(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "staged"))


@pytest.fixture(scope="session")
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
