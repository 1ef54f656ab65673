"""Killed at any checkpoint, amid a dream or while it is judged, it goes on and ends with the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.context import RunStopped
from tests.attempts import Attempt, Killed, Record
from tests.unit.training.phases import ALL, ask
from tests.workers import kill_when, succeed, works_at


def test_killed_after_every_checkpoint(volume: Path, everything: Attempt) -> None:
    """With all parts on: in dreams (steps 4 and 10), after each training, and between training and judging."""
    run = ask(volume, "killed", "ternary", **ALL).killed_at_checkpoints([2, 4, 6, 8, 10, 12])

    def while_told(kind: str, payload: Record) -> None:
        if payload.get("name") == "forge/trained/loss":
            raise Killed

    with pytest.raises(Killed):
        run.go(while_told)
    assert not run.output.exists()
    run = run.again().go()
    assert "forge/rewarded/loss" not in run.names(), "nothing is trained again"
    assert run.files == everything.files


def test_stopped_it_goes_on_with_the_next_step(volume: Path, plain: Attempt) -> None:
    run = ask(volume, "stopped", "llama")

    def stop(kind: str, payload: Record) -> None:
        if payload.get("message") == "supervised" and payload.get("done") == 1:
            run.stop.terminate()

    with pytest.raises(RunStopped):
        run.go(stop)
    assert Checkpoints(run.run.checkpoints_path).newest_step() == 1
    again = run.again().go()
    assert "goes on from step 1 of 6" in again.logs()
    assert again.files == plain.files


@pytest.mark.slow
def test_workers_that_are_killed(volume: Path) -> None:
    """SIGKILL, in a stage, in the rewarded training and while it is judged; all parts on."""
    longer = {
        **ALL,
        "train": {**ALL["train"], "steps": 40, "patience": 0},
        "rewards": {**ALL["rewards"], "steps": 6},
    }
    whole, run = (ask(volume, name, "ternary", **longer) for name in ("long", "storm"))
    succeed(whole.run)
    for stage in ("acceleration", "rewarded", "test"):
        kill_when(run.run, works_at(stage))
    succeed(run.run)
    assert run.files == whole.files


@pytest.mark.slow
def test_a_worker_gives_the_same_bytes(volume: Path, everything: Attempt) -> None:
    twin = ask(volume, "by-a-worker", "ternary", **ALL)
    succeed(twin.run)
    assert twin.files == everything.files
