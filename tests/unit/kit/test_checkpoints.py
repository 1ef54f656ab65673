"""Checkpoints: whole, verified, and the last few kept."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.errors import DiskFull, InvalidInput
from tests.unit.kit.disks import names


def writer(text: str) -> Callable[[Path], None]:
    def write(place: Path) -> None:
        (place / "state").write_text(text)
        (place / "rng").write_text(text[::-1])

    return write


def write_too_much(place: Path) -> None:
    (place / "big").write_bytes(bytes(1 << 20))


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def checkpoints(tmp_path: Path, warnings: list[str]) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", keep=2, warn=warnings.append)


def test_nothing_yet(checkpoints: Checkpoints) -> None:
    assert checkpoints.latest() is None
    assert checkpoints.newest_step() is None
    assert checkpoints.count() == 0
    with pytest.raises(ValueError, match="keep"):
        Checkpoints(checkpoints.directory, keep=0)


def test_the_last_few_are_kept(checkpoints: Checkpoints, warnings: list[str]) -> None:
    for step in (5, 9, 10, 100):
        saved = checkpoints.save(step, writer(f"at {step}"))
        assert checkpoints.latest() == saved
        assert (saved.path / "state").read_text() == f"at {step}"
    assert checkpoints.count() == 2
    assert checkpoints.newest_step() == 100
    assert names(checkpoints.directory) == ["step-000000000010", "step-000000000100"]
    assert warnings == []


def damage_file(place: Path) -> None:
    (place / "data/state").write_text("at 3")


def damage_missing(place: Path) -> None:
    (place / "data/rng").unlink()


def damage_extra(place: Path) -> None:
    (place / "data/more").write_text("x")


def damage_record(place: Path) -> None:
    (place / "CHECKPOINT.json").write_text('{"step": 2')


def damage_no_record(place: Path) -> None:
    (place / "CHECKPOINT.json").unlink()


def damage_link(place: Path) -> None:
    (place / "data/state").unlink()
    (place / "data/state").symlink_to("/etc/passwd")


def damage_no_directory(place: Path) -> None:
    shutil.rmtree(place)
    place.write_text("once a directory")


def damage_renamed(place: Path) -> None:
    (place / "CHECKPOINT.json").write_text((place / "CHECKPOINT.json").read_text().replace('"step":2', '"step":1'))


@pytest.mark.parametrize(
    "damage",
    [
        damage_file,
        damage_missing,
        damage_extra,
        damage_record,
        damage_no_record,
        damage_link,
        damage_no_directory,
        damage_renamed,
    ],
)
def test_an_older_one_stands_in_for_a_damaged_one(
    checkpoints: Checkpoints, warnings: list[str], damage: Callable[[Path], None]
) -> None:
    checkpoints.save(1, writer("at 1"))
    checkpoints.save(2, writer("at 2"))
    damage(checkpoints.directory / "step-000000000002")
    latest = checkpoints.latest()
    assert latest is not None
    assert latest.step == 1
    assert len(warnings) == 1
    assert "step-000000000002 is damaged" in warnings[0]
    checkpoints.save(2, writer("at 2"))  # the run comes by again
    again = checkpoints.latest()
    assert again is not None
    assert (again.step, len(warnings)) == (2, 1)


def test_all_damaged_is_as_none(checkpoints: Checkpoints, warnings: list[str]) -> None:
    for step in (1, 2):
        checkpoints.save(step, writer(str(step)))
        damage_file(checkpoints.directory / f"step-{step:012d}")
    assert checkpoints.latest() is None
    assert len(warnings) == 2


def test_what_lies_ahead_of_a_new_one_was_damaged_and_goes(checkpoints: Checkpoints) -> None:
    for step in (10, 20):
        checkpoints.save(step, writer(str(step)))
    damage_file(checkpoints.directory / "step-000000000020")
    checkpoints.save(15, writer("15"))
    assert checkpoints.newest_step() == 15
    assert checkpoints.count() == 2


def test_a_failed_save_changes_nothing(checkpoints: Checkpoints) -> None:
    saved = checkpoints.save(1, writer("one"))

    def broken(place: Path) -> None:
        (place / "state").write_text("half")
        raise KeyError("no")

    with pytest.raises(KeyError):
        checkpoints.save(2, broken)
    with pytest.raises(InvalidInput):
        checkpoints.save(2, lambda place: None)
    assert checkpoints.latest() == saved
    assert names(checkpoints.directory) == ["step-000000000001"]


def test_a_full_disk_keeps_the_old_one(small_disk: Path) -> None:
    checkpoints = Checkpoints(small_disk / "checkpoints")
    saved = checkpoints.save(1, writer("one"))
    with pytest.raises(DiskFull):
        checkpoints.save(2, write_too_much)
    assert checkpoints.latest() == saved
    assert checkpoints.count() == 1


def test_killed_at_any_instant_there_is_a_whole_one(checkpoints: Checkpoints, warnings: list[str]) -> None:
    code = (
        "import sys, pathlib; from agentforge.kit.checkpoints import Checkpoints\n"
        "c = Checkpoints(pathlib.Path(sys.argv[1])); step = c.newest_step() or 0\n"
        "while True:\n"
        "    step += 1; c.save(step, lambda p: (p / 'state').write_text(str(step) * 10000) and None)\n"
        "    print(step, flush=True)\n"
    )
    last = 0
    for turn in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(checkpoints.directory)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            last = int(child.stdout.readline())
            time.sleep(0.01 * turn)
            os.kill(child.pid, signal.SIGKILL)
            last = max([last, *(int(line) for line in child.stdout.read().split("\n")[:-1] if line)])
        latest = checkpoints.latest()
        assert latest is not None
        assert latest.step >= last
        assert (latest.path / "state").read_text() == str(latest.step) * 10000
    assert warnings == []
    checkpoints.save(last + 100, writer("x"))
    assert checkpoints.count() == len(names(checkpoints.directory)) == 2
