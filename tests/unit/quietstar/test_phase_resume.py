"""Killed in any stage or between two, it goes on and ends with the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.context import RunStopped
from tests.attempts import Attempt, Fate, Killed, Record
from tests.unit.quietstar.phases import STAGES, ask
from tests.workers import kill_when, succeed, works_at

SAVED = [2, 3, 5, 6, 8, 9, 11, 12]  # steps: within each of the four stages of three, and at its end


def at(name: str, field: str = "name") -> Fate:
    """Killed when this is told for the first time."""

    def fate(kind: str, payload: Record) -> None:
        if payload.get(field) == name:
            raise Killed

    return fate


def test_killed_after_every_checkpoint(volume: Path, calm: Attempt) -> None:
    run = ask(volume, "killed", "llama", keep="thinking").killed_at_checkpoints(SAVED)
    for name in ("quietstar/input/loss", "quietstar/example"):  # judged, and about to be published
        with pytest.raises(Killed):
            run.go(at(name))
        assert not run.output.exists()
        run = run.again()
    run.go()
    assert not [name for name in run.names() if name.startswith("quietstar/training/")], "nothing is trained again"
    assert run.files == calm.files


def test_stopped_it_goes_on_with_the_next_step(volume: Path, calm: Attempt) -> None:
    run = ask(volume, "stopped", "llama", keep="thinking")

    def stop(kind: str, payload: Record) -> None:
        if payload.get("name") == "quietstar/thoughts":  # told of the first step of thinking
            run.stop.terminate()

    with pytest.raises(RunStopped):
        run.go(stop)
    assert Checkpoints(run.run.checkpoints_path).newest_step() == 10
    again = run.again().go()
    assert "goes on from step 10 of 12" in again.logs()
    assert [sample["step"] for sample in again.samples("quietstar/thoughts")] == [2]
    assert again.files == calm.files


def test_a_twin_has_the_same_bytes(volume: Path, calm: Attempt) -> None:
    twin = ask(volume, "twin", "llama", keep="thinking").go()
    assert twin.files == calm.files


@pytest.mark.slow
def test_a_worker_gives_the_same_bytes(volume: Path, calm: Attempt) -> None:
    twin = ask(volume, "by-a-worker", "llama", keep="thinking")
    succeed(twin.run)
    assert twin.files == calm.files


@pytest.mark.slow
@pytest.mark.parametrize("model", ["titan", "llama"])
def test_workers_that_are_killed_in_every_stage(volume: Path, model: str) -> None:
    """SIGKILL, in each stage and while it is judged."""
    longer = {"worked": {"steps": 30}, "thinking": {"steps": 30}, "keep": "thinking"}
    whole, run = (ask(volume, f"{name}-{model}", model, **longer) for name in ("long", "storm"))
    succeed(whole.run)
    for stage in (*STAGES, "test"):
        kill_when(run.run, works_at(stage))
        last = Checkpoints(run.run.checkpoints_path).latest()
        assert last is None or json.loads((last.path / "stages.json").read_bytes())["begun"] in (*STAGES, "")
    succeed(run.run)
    assert run.files == whole.files
