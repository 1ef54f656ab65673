"""Runs of several processes: one log, one result, and nobody left waiting when one of them is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentforge.kit.diagnosis import EXIT_INTERRUPTED, EXIT_RANK_LOST, Ending
from agentforge.kit.errors import InvalidInput
from agentforge.kit.events import read_events
from agentforge.kit.processes import ProcessIdentity
from agentforge.kit.ranks import Ranks, of_environment
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.team import check_size
from tests.unit.kit.workers import (
    PATIENCE_S,
    asked,
    end_workers,
    error,
    finish,
    reach_tests,
    states,
    summary,
    until,
)  # fmt: skip
from tests.workers import start_worker

TOTAL = str(float(sum(3 * step for step in range(5))))  # (1 + 2) times each step


@pytest.fixture(autouse=True)
def _reachable(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    reach_tests(monkeypatch)
    yield
    end_workers(home)


def result(run: RunDirectory) -> str:
    return (run.output_path / "text" / "text.txt").read_text()


def names(run: RunDirectory) -> list[str]:
    known = {"sequence", "time", "attempt", "phase"}
    return [next(iter(record.keys() - known)) for record in read_events(run.log_path)[0]]


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_two_processes_make_one_result_and_one_log(home: Path) -> None:
    run = asked(home, "team", processes=2)
    asyncio.run(finish(run))
    assert states(run) == ["QUEUED", "RUNNING", "SUCCEEDED"], run.worker_log_path.read_text()
    assert result(run) == TOTAL
    assert names(run).count("measurement") == names(run).count("sample") == 1
    assert [path.name for path in run.output_path.iterdir()] == ["text"]
    assert not run.scratch_path.exists()


def test_a_lost_process_is_told_at_once_and_the_run_goes_on_from_its_checkpoint(home: Path) -> None:
    run = asked(home, "team", processes=2, mode="kill_once")
    asyncio.run(finish(run))  # which gives up long before a rank that waits for another would
    assert states(run) == ["QUEUED", "RUNNING", "QUEUED", "RUNNING", "SUCCEEDED"]
    assert "rank 1 of 2 was killed by SIGKILL" in run.worker_log_path.read_text()
    assert "goes on from step 2" in run.log_path.read_text()
    assert result(run) == TOTAL


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        pytest.param("kill", "rank 1 of 2 was killed by SIGKILL", marks=pytest.mark.slow),
        ("kill_while_busy", "rank 1 of 2 was killed by SIGKILL"),
        ("exit", "rank 1 of 2 ended with exit code 1"),
    ],
)
def test_a_process_lost_again_and_again_fails_the_run_with_its_name(home: Path, mode: str, why: str) -> None:
    run = asked(home, "team", processes=2, mode=mode)
    asyncio.run(finish(run, max_deaths=1))
    failed = error(run)
    assert failed["reason"] == "WORKER_DIED"
    assert "lost one of its ranks" in failed["message"]
    assert why in failed["message"]
    assert ("rank 1 alone cannot go on" in failed["message"]) == (mode == "exit")


def test_an_error_of_all_is_that_error(home: Path) -> None:
    run = asked(home, "team", processes=2, mode="error_of_all")
    asyncio.run(finish(run))
    assert error(run)["reason"] == "TOO_LARGE"
    assert states(run) == ["QUEUED", "RUNNING", "FAILED"]


def test_cancelled_all_stop_in_the_same_step(home: Path) -> None:
    run = asked(home, "team", processes=2, mode="wait", steps=100_000)
    worker = start_worker(run)
    until(lambda: "progress" in names(run), "it works")
    run.request_cancel("enough")
    assert worker.wait(PATIENCE_S) == 0
    assert states(run) == ["RUNNING", "CANCELLING", "CANCELLED"]
    assert (run.checkpoints_path / f"step-{summary(run).progress['done']:012d}").is_dir()


@pytest.mark.slow
def test_interrupted_the_run_goes_on_where_all_stopped(home: Path) -> None:
    run = asked(home, "team", processes=2, mode="wait", steps=100)
    worker = start_worker(run)
    until(lambda: "progress" in names(run), "it works")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE_S) == EXIT_INTERRUPTED
    at = summary(run).progress["done"]
    assert at < 100
    assert start_worker(run).wait(PATIENCE_S) == 0
    assert f"goes on from step {at}" in run.log_path.read_text()
    assert result(run) == str(float(sum(3 * step for step in range(100))))


@pytest.mark.slow
def test_others_die_with_their_worker_and_count_as_its_memory(home: Path) -> None:
    run = asked(home, "team", processes=3, mode="wait", steps=100_000)
    worker = start_worker(run)
    until(lambda: "progress" in names(run), "it works")
    others = [ProcessIdentity.of(pid) for pid in children(worker.pid)]
    assert [other.pgid for other in others] == [worker.pid] * 2
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    until(lambda: not any(other.is_alive for other in others), "the others are gone")


def test_torchrun_can_start_all_of_them(home: Path) -> None:
    run = asked(home, "team", processes=2)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "agentforge.kit.worker", str(run.path)], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    assert states(run) == ["RUNNING", "SUCCEEDED"]
    assert result(run) == TOTAL


def test_torchrun_with_another_number_is_refused() -> None:
    told = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    assert of_environment(told) == Ranks(1, 2, 1, 2)
    assert of_environment({}) == Ranks()
    with pytest.raises(InvalidInput, match="started 2 processes, the run was asked for with 4"):
        check_size(of_environment(told), 4)


def test_a_rank_that_the_kernel_killed_is_out_of_memory() -> None:
    assert Ending(exit_code=EXIT_RANK_LOST, kernel_oom_kills=1).out_of_memory
    assert not Ending(exit_code=EXIT_RANK_LOST).out_of_memory
