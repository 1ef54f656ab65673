"""Killed at any checkpoint or while it is judged, it goes on and ends with the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.context import RunStopped
from tests.attempts import Attempt, Killed, Record
from tests.unit.bitnet.phases import ask
from tests.workers import kill_when, succeed, works_at


def test_killed_after_every_checkpoint(volume: Path, calm: Attempt) -> None:
    """Within the warm-up, at its end, and between training and judging."""
    run = ask(volume, "killed", "llama").killed_at_checkpoints([2, 4])

    def while_told(kind: str, payload: Record) -> None:
        if payload.get("name") == "bitnet/packed/loss":
            raise Killed

    with pytest.raises(Killed):
        run.go(while_told)
    assert not run.output.exists()
    run = run.again().go()
    assert "bitnet/training/finetuned/loss" not in run.names(), "nothing is trained again"
    assert run.files == calm.files


def test_stopped_it_goes_on_with_the_next_step(volume: Path, calm: Attempt) -> None:
    run = ask(volume, "stopped", "llama")

    def stop(kind: str, payload: Record) -> None:
        if payload.get("message") == "finetuned" and payload.get("done") == 1:
            run.stop.terminate()

    with pytest.raises(RunStopped):
        run.go(stop)
    assert Checkpoints(run.run.checkpoints_path).newest_step() == 1
    again = run.again().go()
    assert "goes on from step 1 of 4" in again.logs()
    assert again.files == calm.files


@pytest.mark.slow
@pytest.mark.parametrize("model", ["titan", "llama"])
def test_workers_that_are_killed(volume: Path, model: str) -> None:
    """SIGKILL, in the training and while it is judged; with a filter and patience, whose states are saved too."""
    longer = {
        "train": {"steps": 30, "evaluate_every": 5, "patience": 9, "grokfast": {"filter": "ema"}},
        "packing": {"packed": "2"},
    }
    whole, run = (ask(volume, f"{name}-{model}", model, **longer) for name in ("long", "storm"))
    succeed(whole.run)
    for stage in ("finetuned", "test"):
        kill_when(run.run, works_at(stage))
    succeed(run.run)
    assert run.files == whole.files


@pytest.mark.slow
def test_a_worker_gives_the_same_bytes(volume: Path, calm: Attempt) -> None:
    twin = ask(volume, "by-a-worker", "llama")
    succeed(twin.run)
    assert twin.files == calm.files
