"""Several processes train as one does, resume to the bit, and go on with what another number of them began."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.attempts import Attempt, Record
from tests.unit.training.phases import ALL, ask
from tests.workers import kill_when, succeed, works_at

# Without what asks the model for answers, which a rounding error may change; and without self-modelling, whose loss
# is in units of the states of a rank's own rows. On plain weights: rounded to codes, 1e-8 may become 1e-4.
SMOOTH: dict[str, Any] = {
    **ALL, "edge": {"kind": "uniform"}, "dreams": {"every": 3, "steps": 2, "replayed": 1.0, "memory": 16},
    "selfmodel": {"weight": 0.0}, "rewards": {"steps": 0},
}  # fmt: skip


def furthest(one: Attempt, other: Attempt) -> float:
    """Largest distance of any two weights."""
    own, theirs = (load_file(run.output / "model.safetensors") for run in (one, other))
    assert own.keys() == theirs.keys()
    return max((own[name] - theirs[name]).abs().max().item() for name in own)


def validated(record: Record) -> bool:
    """At step 3 of 12, with a checkpoint every 2."""
    return bool(record.get("measurement", {}).get("name") == "forge/selection_loss")


@pytest.fixture(scope="module")
def alone(volume: Path) -> Attempt:
    return ask(volume, "alone", "llama", **SMOOTH).go()


@pytest.mark.slow
def test_two_processes_make_what_one_makes_to_float_tolerance(volume: Path, alone: Attempt) -> None:
    run = ask(volume, "two", "llama", processes=2, **SMOOTH)
    succeed(run.run)
    assert 0 < furthest(run, alone) < 1e-5


@pytest.mark.slow
def test_two_processes_killed_on_the_way_make_the_same_bytes(volume: Path) -> None:
    """All parts on: in a stage, and amid the rewarded training."""
    longer = {
        **ALL,
        "train": {**ALL["train"], "steps": 30, "patience": 0},
        "rewards": {**ALL["rewards"], "steps": 4},
    }
    whole, run = (ask(volume, f"two-{name}", "ternary", processes=2, **longer) for name in ("whole", "killed"))
    succeed(whole.run)
    for stage in ("acceleration", "rewarded"):
        kill_when(run.run, works_at(stage))
    succeed(run.run)
    assert "goes on from step" in run.run.log_path.read_text()
    assert run.files == whole.files


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1), (2, 4)])
def test_another_number_of_processes_goes_on(volume: Path, alone: Attempt, first: int, then: int) -> None:
    """A checkpoint knows nothing of ranks. A run has one number of them for life, so this one is a copy."""
    begun, run = (
        ask(volume, f"{first}-then-{then}-{place}", "llama", processes=count, **SMOOTH)
        for place, count in enumerate((first, then))
    )
    kill_when(begun.run, validated)
    shutil.copytree(begun.run.checkpoints_path, run.run.checkpoints_path)
    succeed(run.run)
    assert "goes on from step" in run.run.log_path.read_text()
    assert furthest(run, alone) < 1e-5
