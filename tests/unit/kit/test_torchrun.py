"""torchrun starts all ranks, and starts them again when one is killed: the run goes on and ends the same."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.events import read_events
from agentforge.kit.rundir import RunDirectory
from tests.unit.kit.workers import PATIENCE_S, asked, end_workers, reach_tests, states, until

STEPS = 40


@pytest.fixture(autouse=True)
def _reachable(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    reach_tests(monkeypatch)
    yield
    end_workers(home)


def torchrun(run: RunDirectory, ranks: int, restarts: int) -> subprocess.Popen[bytes]:
    """Its output into worker.log."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    command += ["--max-restarts", str(restarts), "-m", "agentforge.kit.worker", str(run.path)]
    with run.worker_log_path.open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def pids_of_ranks(launcher: subprocess.Popen[bytes]) -> dict[int, int]:
    """By rank."""
    found = {}
    for child in Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split():
        told = dict(part.split("=", 1) for part in Path(f"/proc/{child}/environ").read_text().split("\0") if part)
        found[int(told["RANK"])] = int(child)
    return found


def at_work(run: RunDirectory, attempts: int) -> bool:
    """In the middle, after its last checkpoint."""
    records: list[dict[str, Any]] = read_events(run.log_path)[0]
    now = [each for each in records if each["attempt"] == attempts and "progress" in each]
    return bool(now) and now[-1]["progress"]["done"] >= 5


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "victims"), [(2, (1,)), (4, (2, 0))])
def test_a_killed_rank_is_started_again_with_all_others(home: Path, ranks: int, victims: tuple[int, ...]) -> None:
    """The leader, too, is only a rank."""
    calm = asked(home, "team", "calm", processes=ranks, steps=STEPS)
    assert torchrun(calm, ranks, 0).wait(PATIENCE_S) == 0, calm.worker_log_path.read_text()
    run = asked(home, "team", "torn", processes=ranks, steps=STEPS, mode="wait")
    launcher = torchrun(run, ranks, len(victims))
    for number, victim in enumerate(victims, 1):
        until(lambda number=number: at_work(run, number), f"attempt {number} works")  # type: ignore[misc]
        os.kill(pids_of_ranks(launcher)[victim], signal.SIGKILL)
    assert launcher.wait(PATIENCE_S) == 0, run.worker_log_path.read_text()
    assert states(run) == ["RUNNING"] * (1 + len(victims)) + ["SUCCEEDED"]
    assert run.log_path.read_text().count("goes on from step 2") == len(victims)
    assert digests(run) == digests(calm)


@pytest.mark.slow
def test_where_nobody_starts_it_again_the_run_is_left_resumable(home: Path) -> None:
    run = asked(home, "team", processes=2, steps=STEPS, mode="wait")
    launcher = torchrun(run, 2, 0)
    until(lambda: at_work(run, 1), "it works")
    os.kill(pids_of_ranks(launcher)[1], signal.SIGKILL)
    assert launcher.wait(PATIENCE_S) != 0
    assert states(run) == ["RUNNING"]
    assert torchrun(run, 2, 0).wait(PATIENCE_S) == 0, run.worker_log_path.read_text()
    assert states(run)[-1] == "SUCCEEDED"


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_two_agents_as_in_two_pods(home: Path, victim: int) -> None:
    """Each restarts its rank by a count of its own, and both meet again; signs of life go by torchrun's store."""
    calm = asked(home, "team", "calm", processes=2, steps=STEPS)
    assert torchrun(calm, 2, 0).wait(PATIENCE_S) == 0, calm.worker_log_path.read_text()
    run = asked(home, "team", "pods", processes=2, steps=STEPS, mode="wait")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    agents = [agent(run, place) for _ in range(2)]
    try:
        until(lambda: at_work(run, 1), "it works")
        ranks = {rank: pid for each in agents for rank, pid in pids_of_ranks(each).items()}
        os.kill(ranks[victim], signal.SIGKILL)
        assert [each.wait(PATIENCE_S) for each in agents] == [0, 0], run.worker_log_path.read_text()
    finally:
        for each in agents:
            if each.poll() is None:
                os.killpg(each.pid, signal.SIGTERM)
                each.wait(60)
    assert states(run) == ["RUNNING", "RUNNING", "SUCCEEDED"]
    assert digests(run) == digests(calm)


def agent(run: RunDirectory, place: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", place, "--rdzv-id", run.run_id, "--max-restarts", "2"]
    command += ["--local-addr", "127.0.0.1", "-m", "agentforge.kit.worker", str(run.path)]
    with run.worker_log_path.open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def digests(run: RunDirectory) -> dict[str, str]:
    done = run.done()
    assert done is not None
    return {ref.name: ref.sha256 for ref in done.outputs}
