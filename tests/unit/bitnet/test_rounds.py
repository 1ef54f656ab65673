"""Another training follows while a bound is not kept on the selection split, and not after that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from agentforge.models.ternary.convert import projections
from agentforge.models.ternary.linear import Mode, ternary_layers
from agentforge.phase4_bitnet.start import load_start
from agentforge.phase4_bitnet.training import fine_tuning
from agentforge.train.state import own_tensors
from tests.attempts import Attempt, Record
from tests.unit.bitnet.phases import ask

# Too slow to learn back what rounding by the paper's thresholds loses.
WORSE: Record = {
    "train": {"lr": 1e-9, "muon_lr": 1e-9, "embedding_lr": 1e-9},
    "calibration": {"thresholds": False},
    "bounds": {"nats": 0.0},
}


@pytest.fixture(scope="module")
def whole(volume: Path) -> Attempt:
    return ask(volume, "rounds", "llama", rounds=2, **WORSE).go()


def test_outside_the_bound_another_round_is_trained(whole: Attempt) -> None:
    """As many as were asked for, and the last one is not asked whether it was enough."""
    assert {"bitnet/training/finetuned/loss", "bitnet/training/finetuned_2/loss"} <= whole.names()
    (told,) = [line for line in whole.logs().splitlines() if "selection split" in line]
    assert told.endswith("outside its bounds: another round is trained")
    curve = json.loads(whole.files["training.json"])["bitnet"]["curve"]
    assert [point["step"] for point in curve if "loss" in point] == list(range(1, 9))


def test_inside_the_bound_it_is_enough(volume: Path) -> None:
    run = ask(volume, "enough", "llama", rounds=3, bounds={"nats": 100.0, "accuracy": 1.0}).go()
    assert "bitnet/training/finetuned_2/loss" not in run.names()
    assert [line for line in run.logs().splitlines() if line.endswith("inside its bounds")]


def test_killed_in_the_second_round_it_goes_on_to_the_same_bytes(volume: Path, whole: Attempt) -> None:
    run = ask(volume, "rounds-killed", "llama", rounds=2, **WORSE).killed_at_checkpoints([2, 4, 6])
    run = run.go()
    assert "bitnet/training/finetuned/loss" not in run.names(), "the first is not trained again"
    assert run.files == whole.files


def test_a_round_begins_where_the_last_one_ended_with_rows_of_its_own(whole: Attempt) -> None:
    start = load_start(whole.context().inputs.one("model"), whole.config)
    modes = dict.fromkeys(projections(start.model), Mode())
    moved = {name: tensor + 1 for name, tensor in own_tensors(start.ternary(modes)).items()}
    first, second = fine_tuning(start, modes), fine_tuning(start, modes, 1, moved)
    assert all(torch.equal(tensor, moved[name]) for name, tensor in own_tensors(second.model).items())
    assert not any(torch.equal(tensor, moved[name]) for name, tensor in own_tensors(first.model).items())
    batches = [next(each.loader) for each in (first, second)]
    rows = [{tuple(row) for row in batch.input_ids.tolist()} for batch in batches]
    assert rows[0].isdisjoint(rows[1])
    strengths = []
    for training, batch in zip((first, second), batches, strict=True):
        training.loss_of(training.model, batch.torch())
        strengths.append({layer.mode.strength for layer in ternary_layers(training.model).values()})
    assert strengths == [{0.0}, {1.0}], "the second needs no warm-up"
