"""Whole files, and disk errors in words."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from agentforge.kit.errors import DiskFull, FailedPrecondition
from agentforge.kit.files import disk_errors, fsync_tree, make_directories, remove_tree, write_atomic
from tests.unit.kit.disks import fill_disk, names, remount_read_only


def test_write_atomic_makes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(tmp_path) == ["f"]


def test_a_full_disk_leaves_the_old_content_and_nothing_else(small_disk: Path) -> None:
    path = small_disk / "f"
    write_atomic(path, b"old")
    with pytest.raises(DiskFull) as caught:
        write_atomic(path, bytes(1 << 20))
    assert caught.value.reason == "DISK_FULL"
    assert str(small_disk) in caught.value.message
    assert caught.value.next_step
    assert path.read_bytes() == b"old"
    assert names(small_disk) == ["f"]


def test_a_disk_that_is_full_to_the_last_byte(small_disk: Path) -> None:
    fill_disk(small_disk)
    with pytest.raises(DiskFull):
        write_atomic(small_disk / "f", b"x")
    assert not (small_disk / "f").exists()


def test_a_read_only_volume_is_named(small_disk: Path) -> None:
    remount_read_only(small_disk)
    with pytest.raises(FailedPrecondition) as caught:
        write_atomic(small_disk / "f", b"x")
    assert caught.value.reason == "READ_ONLY_VOLUME"
    assert str(small_disk) in caught.value.message


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EROFS, FailedPrecondition),
        (errno.EACCES, FailedPrecondition),
        (errno.EPERM, FailedPrecondition),
        (errno.EIO, OSError),
    ],
)
def test_translation(number: int, expected: type[Exception]) -> None:
    with pytest.raises(expected), disk_errors("there"):
        raise OSError(number, "words")


def test_fsync_tree_passes_over_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "f").write_text("x")
    (tmp_path / "d" / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "d" / "pipe")
    fsync_tree(tmp_path)
    fsync_tree(tmp_path / "d" / "f")


def test_make_and_remove(tmp_path: Path) -> None:
    make_directories(tmp_path / "a/b/c", tmp_path / "a")
    make_directories(tmp_path / "a/b/c", tmp_path / "a")
    assert (tmp_path / "a/b/c").is_dir()
    with pytest.raises(ValueError, match="not inside"):
        make_directories(tmp_path / "b", tmp_path / "a")
    remove_tree(tmp_path / "a")
    remove_tree(tmp_path / "a")
    assert names(tmp_path) == []
