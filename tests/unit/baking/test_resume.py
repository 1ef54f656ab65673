"""Killed at any checkpoint, between agents or while they work, it goes on and ends with the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.context import RunStopped
from tests.attempts import Attempt, Killed, Record
from tests.unit.baking.phases import ask
from tests.workers import kill_when, succeed, works_at


def test_killed_after_every_checkpoint(volume: Path, everything: Attempt) -> None:
    """In following, between trainings and amid rounds; then when the training is whole and nothing else."""
    run = ask(volume, "killed", "ternary").killed_at_checkpoints([2, 4, 6, 7, 9, 10, 12, 13, 15, 16])

    def when_judged(kind: str, payload: Record) -> None:
        if payload.get("name") == "baking/baked/tool_accuracy":
            raise Killed

    with pytest.raises(Killed):
        run.go(when_judged)
    assert not run.output.exists()
    run = run.again().go()
    assert "baking/persona/loss" not in run.names(), "nothing is trained again"
    assert run.files == everything.files


def test_stopped_it_goes_on_with_the_next_step(volume: Path, everything: Attempt) -> None:
    run = ask(volume, "stopped", "ternary")

    def stop(kind: str, payload: Record) -> None:
        if payload.get("message") == "following" and payload.get("done") == 1:
            run.stop.terminate()

    with pytest.raises(RunStopped):
        run.go(stop)
    assert Checkpoints(run.run.checkpoints_path).newest_step() == 1
    assert run.again().go().files == everything.files


@pytest.mark.slow
def test_workers_that_are_killed(volume: Path) -> None:
    """SIGKILL while following, while baking, and while agents judge."""
    longer = {"following": {"steps": 30}, "train": {"steps": 20}}
    whole, run = (ask(volume, name, "ternary", **longer) for name in ("long", "storm"))
    succeed(whole.run)
    for stage in ("following", "persona-1"):
        kill_when(run.run, works_at(stage))
    kill_when(run.run, lambda record: record.get("measurement", {}).get("name") == "baking/pass_memory")
    succeed(run.run)
    assert run.files == whole.files
    assert not run.run.work_path.exists()
