"""Several processes find the champion that one finds; one that is lost is missed, and the run goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.diagnosis import EXIT_RANK_LOST
from agentforge.kit.processes import ProcessIdentity
from tests.unit.evomerge.phases import ask
from tests.workers import start_worker, succeed, until


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "processes"),
    [("genetic", 2), ("cma_es", 4), ("genetic", 4), ("nsga2", 4)],
)
def test_the_same_champion(volume: Path, algorithm: str, processes: int) -> None:
    alone = ask(volume, f"one-{algorithm}-{processes}", algorithm=algorithm, generations=2).go()
    run = ask(volume, f"team-{algorithm}-{processes}", algorithm=algorithm, generations=2, processes=processes)
    summary = succeed(run.run)
    assert run.digest == alone.digest
    assert summary.measurements["evomerge/best_fitness"]["value"] == alone.values("evomerge/best_fitness")[-1]


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def has_told_of_generation_2(record: dict[str, Any]) -> bool:
    return bool(record.get("sample", {}).get("data", {}).get("generation", -1) >= 2)


@pytest.mark.slow
def test_a_lost_rank_ends_the_attempt_and_the_next_one_ends_equal(volume: Path) -> None:
    changes = {"algorithm": "genetic", "generations": 40, "processes": 2}
    whole = ask(volume, "rank-kept", **changes)
    succeed(whole.run)
    run = ask(volume, "rank-lost", **changes)
    worker = start_worker(run.run)
    until(run.run, has_told_of_generation_2)
    [other] = [pid for pid in children(worker.pid) if ProcessIdentity.of(pid).is_alive]
    os.kill(other, signal.SIGKILL)
    assert worker.wait(60) == EXIT_RANK_LOST
    assert "rank 1 of 2 was killed by SIGKILL" in run.run.worker_log_path.read_text()
    assert not run.output.exists()
    succeed(run.run)
    assert "goes on from generation" in run.run.log_path.read_text()
    assert run.digest == whole.digest
