"""Memory, a full disk, and a process that is killed: measured in processes of their own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.unit.evomerge.directories import load, save

MEBI = 1 << 20

PROGRAM = """
import resource, sys
from pathlib import Path
from agentforge.phase2_evomerge.streaming.merge import MergeRequest, merge_models

if sys.argv[2] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
place = Path(sys.argv[1])
if sys.argv[3] != "none":
    merge_models(MergeRequest("linear", tuple(place / name for name in "abc"), place / "out"))
else:
    import agentforge.phase2_evomerge.streaming.tensors
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


def start(place: Path, limit: int = 0, what: str = "merge") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(place), str(limit), what],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def three_models(place: Path, tensors: int) -> int:
    """Their bytes together; each tensor has 4 MiB."""
    for name in "abc":
        one = torch.randn(1024, 1024)
        save(place / name, {f"{number}": one.clone() for number in range(tensors)})
    return 3 * tensors * 4 * MEBI


@pytest.mark.slow
def test_memory_is_that_of_the_largest_tensor_not_of_the_models(tmp_path: Path) -> None:
    """Over what Python and torch take: less than 25 times the largest tensor, where the models have 180."""
    total = three_models(tmp_path, 60)
    peaks = []
    for what in ("none", "merge"):
        out, err = start(tmp_path, what=what).communicate(timeout=120)
        assert out, err
        peaks.append(int(out) * 1024)
    assert peaks[1] - peaks[0] < 25 * 4 * MEBI
    assert peaks[1] < total / 2


def test_a_process_that_is_killed_leaves_no_output(tmp_path: Path) -> None:
    three_models(tmp_path, 30)
    process = start(tmp_path)
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".out.partial-*/model.safetensors")):
            assert process.poll() is None, "it was done before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert not (tmp_path / "out").exists()
    out, err = start(tmp_path).communicate(timeout=120)
    assert out, err
    assert len(load(tmp_path / "out")) == 30


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    three_models(tmp_path, 2)
    process = start(tmp_path, limit=5 * MEBI)
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "File too large" in err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "none", str(place)], capture_output=True)
    if mount.returncode:
        pytest.skip(f"no file system can be mounted here: {mount.stderr.decode().strip()}")
    try:
        three_models(place, 2)
        _, err = start(place).communicate(timeout=120)
        assert "DiskFull: no space left to write" in err
        assert sorted(each.name for each in place.iterdir()) == ["a", "b", "c"]
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
