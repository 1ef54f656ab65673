"""Run directories: whole or not there, one worker at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agentforge.kit.errors import (
    AlreadyExists,
    DataLoss,
    DiskFull,
    FailedPrecondition,
    InvalidInput,
    NotFound,
)
from agentforge.kit.events import BALLAST
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rundir import RunDirectory, RunRequest, config_digest, list_runs
from tests.unit.kit.disks import fill_disk, names, remount_read_only

INPUT = ArtifactRef("text", "text", "notes.txt", "a" * 64, 3)


def request(run_id: str = "r1", **config: object) -> RunRequest:
    return RunRequest(run_id, "count", (INPUT,), config, code_digest="c", entry="tests.phases:COUNT")


def test_a_request_comes_back_as_it_was(home: Path) -> None:
    home.mkdir()
    run = RunDirectory(home, "r1", "count")
    assert not run.exists()
    with pytest.raises(NotFound) as caught:
        run.request()
    assert caught.value.reason == "UNKNOWN_RUN"
    asked = request(steps=3, nested={"a": [1, 2.5, None, "ü"]})
    assert run.create(asked) is True
    assert run.request() == asked
    assert RunDirectory.at(run.path).request() == asked
    assert names(run.path) == [BALLAST, "request.json"]
    assert (run.path / BALLAST).stat().st_size == 64 << 10
    assert names(run.path.parent) == ["count"]


def test_the_same_request_is_the_same_run(home: Path) -> None:
    home.mkdir()
    run = RunDirectory(home, "r1", "count")
    first = request(steps=3)
    run.create(first)
    assert run.create(replace(first, created="2030-01-01T00:00:00.000000Z", code_digest="other")) is False
    assert run.request() == first
    moved = replace(first, inputs=(replace(INPUT, path="elsewhere.txt"),))
    assert run.create(moved) is False
    for other in (
        replace(first, config={"steps": 4}),
        replace(first, inputs=()),
        replace(first, inputs=(replace(INPUT, sha256="b" * 64),)),
        replace(first, inputs=(replace(INPUT, kind="model"),)),
    ):
        with pytest.raises(AlreadyExists) as caught:
            run.create(other)
        assert caught.value.field == "run_id"
    assert run.request() == first


def test_one_of_many_at_once_makes_the_run(home: Path) -> None:
    home.mkdir()
    made: list[bool] = []
    barrier = threading.Barrier(8)

    def create() -> None:
        barrier.wait()
        made.append(RunDirectory(home, "r1", "count").create(request(steps=1)))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]
    assert names(home / "runs" / "r1") == ["count"]


@pytest.mark.parametrize(("run_id", "phase"), [("../x", "p"), ("a/b", "p"), ("a", "../p"), ("a" * 10_000, "p")])
def test_names_that_would_lead_elsewhere(home: Path, run_id: str, phase: str) -> None:
    with pytest.raises(InvalidInput):
        RunDirectory(home, run_id, phase)


def test_a_run_through_a_link_is_refused(home: Path, tmp_path: Path) -> None:
    (home / "runs").mkdir(parents=True)
    (home / "runs" / "r1").symlink_to(tmp_path)
    with pytest.raises(InvalidInput) as caught:
        RunDirectory(home, "r1", "count")
    assert caught.value.reason == "SYMLINK"
    with pytest.raises(NotFound):
        RunDirectory.at(Path("/tmp"))


def test_a_directory_of_something_else_is_left_alone(home: Path) -> None:
    (home / "runs/r1/count").mkdir(parents=True)
    (home / "runs/r1/count/precious").write_text("x")
    with pytest.raises(FailedPrecondition) as caught:
        RunDirectory(home, "r1", "count").create(request())
    assert caught.value.reason == "NOT_A_RUN"
    assert names(home / "runs/r1") == ["count"]
    assert list_runs(home, "count") == []


def test_a_full_disk_leaves_nothing_of_the_run(small_disk: Path) -> None:
    fill_disk(small_disk)
    with pytest.raises(DiskFull):
        RunDirectory(small_disk, "r1", "count").create(request())
    assert not (small_disk / "runs" / "r1").exists()
    assert list_runs(small_disk, "count") == []
    (small_disk / "filler").unlink()
    assert RunDirectory(small_disk, "r1", "count").create(request()) is True


def test_a_read_only_volume(small_disk: Path) -> None:
    run = RunDirectory(small_disk, "r1", "count")
    run.create(request())
    remount_read_only(small_disk)
    assert run.request() == run.request()
    for act in (
        lambda: RunDirectory(small_disk, "r2", "count").create(request("r2")),
        run.try_lock,
        lambda: run.request_cancel("no"),
    ):
        with pytest.raises(FailedPrecondition) as caught:
            act()
        assert caught.value.reason == "READ_ONLY_VOLUME"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"run_id": "r1"}', b"\xff\xfe"])
def test_damaged_records_are_named(run: RunDirectory, content: bytes) -> None:
    run.request_path.write_bytes(content)
    run.done_path.write_bytes(content)
    for read, name in ((run.request, "request.json"), (run.done, "DONE.json")):
        with pytest.raises(DataLoss, match=name):
            read()


def test_the_lock_is_held_once(run: RunDirectory) -> None:
    assert not run.is_locked()
    lock = run.try_lock()
    assert lock is not None
    assert run.is_locked()
    assert RunDirectory(run.home, run.run_id, run.phase).try_lock() is None
    os.close(lock)
    assert not run.is_locked()
    again = run.try_lock()
    assert again is not None
    os.close(again)


def test_the_lock_goes_to_a_child_and_ends_with_it(run: RunDirectory) -> None:
    lock = run.try_lock()
    assert lock is not None
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"],
        pass_fds=[lock],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    os.close(lock)
    assert run.is_locked()
    assert run.try_lock() is None
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert not run.is_locked()
    again = run.try_lock()
    assert again is not None
    os.close(again)


def test_asking_whether_it_is_locked_never_takes_the_lock_away(run: RunDirectory) -> None:
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            run.is_locked()
            stop.wait(0.0005)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(200):
            lock = run.try_lock()
            assert lock is not None
            os.close(lock)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_cancelling(run: RunDirectory) -> None:
    assert run.cancel_requested() is None
    run.request_cancel("")
    assert run.cancel_requested() == ""
    run.clear_cancel()
    run.clear_cancel()
    run.request_cancel("enough")
    run.request_cancel("another reason")
    assert run.cancel_requested() == "enough"


def test_runs_are_listed_newest_first(make_run: Callable[..., RunDirectory], home: Path) -> None:
    assert list_runs(home, "count") == []
    for i, run_id in enumerate(["b", "a", "c"]):
        os.utime(make_run(run_id).request_path, (1000 + i, 1000 + i))
    make_run("d", "other")
    (home / "runs" / "not a run").mkdir()
    (home / "runs" / "e" / "count").mkdir(parents=True)
    assert [run.run_id for run in list_runs(home, "count")] == ["c", "a", "b"]


def test_the_log_gets_its_ballast_back(run: RunDirectory) -> None:
    (run.path / BALLAST).unlink()
    with run.open_log() as log:
        assert log.phase == "count"
    assert (run.path / BALLAST).exists()


def test_the_log_opens_on_a_full_disk(small_disk: Path) -> None:
    run = RunDirectory(small_disk, "r1", "count")
    run.create(request())
    run.open_log().close()
    (run.path / BALLAST).unlink()
    fill_disk(small_disk)
    with run.open_log() as log:
        assert log.last_sequence == 0


def test_config_digest_depends_on_all_three() -> None:
    base = config_digest("count", "c", {"a": 1})
    assert base == request(a=1).config_digest
    others = [config_digest("echo", "c", {"a": 1}), config_digest("count", "d", {"a": 1})]
    assert len({base, *others, config_digest("count", "c", {"a": 2})}) == 4
