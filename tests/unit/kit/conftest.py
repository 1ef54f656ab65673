"""A volume in a temporary directory, and small real file systems."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rundir import RunDirectory, RunRequest


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "volume"


@pytest.fixture
def make_run(home: Path) -> Callable[..., RunDirectory]:
    def make(
        run_id: str = "r1", phase: str = "count", *, inputs: tuple[ArtifactRef, ...] = (), **config: object
    ) -> RunDirectory:
        home.mkdir(exist_ok=True)
        run = RunDirectory(home, run_id, phase)
        run.create(RunRequest(run_id, phase, inputs, config, code_digest="c" * 64, entry="tests.x:SPEC"))
        return run

    return make


@pytest.fixture
def run(make_run: Callable[..., RunDirectory]) -> RunDirectory:
    return make_run()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 512 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mount.returncode:
        pytest.skip(f"mounting a tmpfs is not permitted here: {mount.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
