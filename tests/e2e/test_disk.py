"""A volume that is full, or read-only, under a real service: told clearly, nothing half-written, mended later."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentforge.kit.errors import FailedPrecondition, RunFailed
from agentforge.kit.refs import ArtifactRef
from tests.harness import environment, phase_service, running


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A volume of one mebibyte."""
    place = tmp_path / "home"
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)], capture_output=True)
    if mount.returncode:
        pytest.skip(f"no file system can be mounted here: {mount.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def a_text(home: Path) -> list[ArtifactRef]:
    with contextlib.suppress(FileExistsError):
        (home / "mine").mkdir()
        (home / "mine/text.txt").write_text("one")
    return [ArtifactRef("text", "text", "mine", "")]


def test_a_full_disk_fails_the_run_and_space_mends_it(disk: Path) -> None:
    with running(phase_service("count", disk)) as client:
        config = {"n": 20, "every": 5, "output_bytes": 3 << 20}
        with pytest.raises(RunFailed) as failed:
            client.run("r", config, a_text(disk))
        assert failed.value.reason == "DISK_FULL"
        assert failed.value.next_step
        run = disk / "runs/r/count"
        assert not (run / "DONE.json").exists()
        assert not any(run.glob("output/*"))
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        assert client.run("r", config, a_text(disk), retry=True).outputs


def test_a_read_only_volume_is_refused_by_name(disk: Path) -> None:
    with running(phase_service("count", disk)) as client:
        inputs = a_text(disk)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(FailedPrecondition) as refused:
            client.start("r", {}, inputs)
        assert refused.value.reason == "READ_ONLY_VOLUME"
        assert client.describe().name == "count"


def test_doctor_sees_a_read_only_volume(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "agentforge.cli", "doctor"],
        env=environment(disk, "tests.phases.pipeline"),
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 2
    assert "fail  home" in done.stdout
