"""Two processes as one: the same weights, resumable to the bit, and nobody left waiting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
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

ROOT = Path(__file__).parents[3]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, env=environment)


def train(directory: Path, world: int, **told: Any) -> str:
    """The output of a training by so many ranks."""
    directory.mkdir(exist_ok=True)
    arguments = ["-m", "tests.unit.train.together", str(directory), json.dumps({"steps": 20, **told})]
    done = run([*TORCHRUN, *arguments] if world == 2 else [sys.executable, *arguments])
    assert "fate" in told or done.returncode == 0, done.stderr
    return done.stdout


def weights(directory: Path, rank: int = 0) -> dict[str, Tensor]:
    return state.load_tensors(directory / f"weights-{rank}.safetensors")


def curve(directory: Path, rank: int = 0) -> tuple[int, list[dict[str, float]]]:
    step, points = json.loads((directory / f"curve-{rank}.json").read_text())
    return step, points


def furthest(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max((one[name] - other[name]).abs().max().item() for name in one)


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_two_ranks_are_one_rank_to_float_tolerance(tmp_path: Path, optimiser: str) -> None:
    """The rows have answers of different lengths: a mean of the ranks' means would be another loss."""
    settings = {"optimiser": optimiser, "accumulation": 2, "grokfast": {"filter": "ema"}}
    train(tmp_path / "one", 1, **settings)
    train(tmp_path / "two", 2, **settings)
    assert furthest(weights(tmp_path / "one"), weights(tmp_path / "two")) < 1e-5
    assert furthest(weights(tmp_path / "two", 0), weights(tmp_path / "two", 1)) == 0
    (_, alone), (_, both) = curve(tmp_path / "one"), curve(tmp_path / "two")
    assert [point["loss"] for point in both] == pytest.approx([point["loss"] for point in alone], rel=1e-5)


def test_one_of_two_killed_ends_both_and_a_resumed_run_has_the_same_bytes(tmp_path: Path) -> None:
    train(tmp_path / "whole", 2, noisy=True)
    began = time.monotonic()
    told = train(tmp_path / "cut", 2, noisy=True, fate=["kill", 1, 6])
    assert time.monotonic() - began < 30
    assert "RANK_LOST: rank 0 of 2 lost another rank" in told
    assert not (tmp_path / "cut/weights-0.safetensors").exists()
    resumed = train(tmp_path / "cut", 2, noisy=True)
    assert resumed.count("begins at step 4") == 2
    assert furthest(weights(tmp_path / "cut"), weights(tmp_path / "whole")) == 0
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")


def test_asked_to_stop_both_stop_in_one_step_and_one_rank_can_go_on(tmp_path: Path) -> None:
    told = train(tmp_path / "cut", 2, fate=["stop", 0, 7])
    assert sorted(told.splitlines()[-2:]) == ["rank 0 stopped", "rank 1 stopped"]
    assert Checkpoints(tmp_path / "cut/checkpoints").newest_step() == 7
    assert "rank 0 of 1 begins at step 7" in train(tmp_path / "cut", 1)
    train(tmp_path / "whole", 1)
    assert furthest(weights(tmp_path / "cut"), weights(tmp_path / "whole")) < 1e-5


def test_one_word_decides_when_both_have_had_enough(tmp_path: Path) -> None:
    """By itself rank 1 would see each evaluation better than the last one, and go on to the end."""
    train(tmp_path, 2, evaluate_every=2, patience=2)
    assert curve(tmp_path, 0)[0] == curve(tmp_path, 1)[0] == 6
    assert furthest(weights(tmp_path, 0), weights(tmp_path, 1)) == 0


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


def test_a_batch_that_cannot_be_shared_out_is_refused(tmp_path: Path) -> None:
    told = train(tmp_path, 2, batch=3, fate=[])
    assert "UNEVEN_BATCH: 3 rows a batch cannot be shared out evenly among 2 ranks" in told


def test_gradients_are_added_and_those_of_nobody_stay_none(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
import torch
import torch.distributed as dist
from agentforge.kit import ranks
from agentforge.train.distribution import add_gradients
own = ranks.join(ranks.of_environment())
of_nobody, of_one, of_both = (torch.nn.Parameter(torch.zeros(2, 3)) for _ in range(3))
if own.rank == 1:
    of_one.grad = torch.full((2, 3), 5.0)
of_both.grad = torch.full((2, 3), 10.0 + own.rank)
add_gradients([of_nobody, of_one, of_both], own)
assert of_nobody.grad is None
assert of_one.grad.tolist() == [[5.0] * 3] * 2
assert of_both.grad.tolist() == [[21.0] * 3] * 2
assert own.share({"rank": own.rank}) == {"rank": 0} and own.add(own.rank + 1) == 3.0
dist.destroy_process_group()
""")
    done = run([*TORCHRUN, str(script)])
    assert done.returncode == 0, done.stderr
