from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.conftest import forge

__all__ = ["forge"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A volume, and nothing of this machine's own settings for W&B."""
    for name in ("AGENTFORGE_WANDB", "AGENTFORGE_WANDB_DIR", "AGENTFORGE_OTEL", "WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AGENTFORGE_PIPELINE", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 128 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place)]
    mount = subprocess.run(command, capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f"mounting a tmpfs is not permitted here: {mount.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
