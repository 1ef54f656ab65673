"""Two processes as one: the same weights, resumable to the bit, and nobody left waiting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.ranks import Ranks
from agentforge.train import state
from agentforge.train.distribution import own_share
from tests.unit.train.helpers import loader
from tests.unit.train.together import train

ROOT = Path(__file__).parents[3]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
OPTIMISERS: dict[str, dict[str, Any]] = {
    name: {"optimiser": name, "accumulation": 2, "grokfast": {"filter": "ema"}} for name in ("adamw", "muon")
}
TRAININGS: dict[str, dict[str, Any]] = {
    **OPTIMISERS,
    "noisy": {"noisy": True},
    "stopped": {"fate": ["stop", 0, 7]},
    "patient": {"evaluate_every": 2, "patience": 2},
    "uneven": {"batch": 3},
}


def by_two(place: Path, trainings: dict[str, dict[str, Any]], code: int = 0) -> str:
    """What two ranks say at these trainings. Whoever waits for a rank that is gone would do so for half an hour."""
    told = json.dumps([(str(place / name), settings) for name, settings in trainings.items()])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [*TORCHRUN, "-m", "tests.unit.train.together", told]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=ROOT, env=environment)
    assert (done.returncode == 0) == (code == 0), done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("together")


@pytest.fixture(scope="module")
def told(place: Path) -> str:
    """All trainings that nothing befalls, by two processes that are started once."""
    return by_two(place, TRAININGS)


def weights(directory: Path, rank: int = 0) -> dict[str, Tensor]:
    return state.load_tensors(directory / f"weights-{rank}.safetensors")


def curve(directory: Path, rank: int = 0) -> tuple[int, list[dict[str, float]]]:
    step, points = json.loads((directory / f"curve-{rank}.json").read_text())
    return step, points


def furthest(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max((one[name] - other[name]).abs().max().item() for name in one)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_two_ranks_are_one_rank_to_float_tolerance(place: Path, told: str, tmp_path: Path, optimiser: str) -> None:
    """The rows have answers of different lengths: a mean of the ranks' means would be another loss."""
    train(tmp_path, OPTIMISERS[optimiser])
    two = place / optimiser
    assert furthest(weights(tmp_path), weights(two)) < 1e-5
    assert furthest(weights(two, 0), weights(two, 1)) == 0
    (_, alone), (_, both) = curve(tmp_path), curve(two)
    assert [point["loss"] for point in both] == pytest.approx([point["loss"] for point in alone], rel=1e-5)


@pytest.mark.slow
def test_one_of_two_killed_ends_both_and_a_resumed_run_has_the_same_bytes(
    place: Path, told: str, tmp_path: Path
) -> None:
    said = by_two(tmp_path, {"cut": {"noisy": True, "fate": ["kill", 1, 6]}}, code=3)
    assert "RANK_LOST: rank 0 of 2 lost another rank" in said
    assert not (tmp_path / "cut/weights-0.safetensors").exists()
    assert by_two(tmp_path, {"cut": {"noisy": True}}).count("begins at step 4") == 2
    assert furthest(weights(tmp_path / "cut"), weights(place / "noisy")) == 0
    assert curve(tmp_path / "cut") == curve(place / "noisy")


def test_asked_to_stop_both_stop_in_one_step_and_one_rank_can_go_on(
    place: Path, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut, whole = place / "stopped", tmp_path
    assert {f"stopped: rank {rank} stopped" for rank in range(2)} <= set(told.splitlines())
    assert Checkpoints(cut / "checkpoints").newest_step() == 7
    train(cut, {})
    assert "rank 0 of 1 begins at step 7" in capsys.readouterr().out
    train(whole, {})
    assert furthest(weights(cut), weights(whole)) < 1e-5


def test_one_word_decides_when_both_have_had_enough(place: Path, told: str) -> None:
    """By itself rank 1 would see each evaluation better than the last one, and go on to the end."""
    both = place / "patient"
    assert curve(both, 0)[0] == curve(both, 1)[0] == 6
    assert furthest(weights(both, 0), weights(both, 1)) == 0


def test_a_share_has_its_rows_and_their_weights() -> None:
    batch = next(loader(4))
    for given in (batch, replace(batch, weight=np.arange(4, dtype=np.float32))):
        parts = [own_share(given, Ranks(rank, 2)) for rank in range(2)]
        assert sum(part for _, part in parts) == 1
        for name in ("input_ids", "labels", "attention_mask", "source"):
            assert np.array_equal(
                np.concatenate([getattr(share, name) for share, _ in parts]), getattr(given, name)
            )
    assert [share.weight.tolist() for share, _ in parts if share.weight is not None] == [[0, 1], [2, 3]]
    assert own_share(batch, Ranks(0, 2))[0].weight is None


def test_a_batch_that_cannot_be_shared_out_is_refused(told: str) -> None:
    assert "uneven: UNEVEN_BATCH: 3 rows a batch cannot be shared out evenly among 2 ranks" in told


def test_gradients_are_added_and_those_of_nobody_stay_none(place: Path, told: str) -> None:
    for rank in range(2):
        added = json.loads((place / list(TRAININGS)[-1] / f"added-{rank}.json").read_text())
        assert added == [[None, [[5.0] * 3] * 2, [[21.0] * 3] * 2], {"rank": 0}, 3.0]
