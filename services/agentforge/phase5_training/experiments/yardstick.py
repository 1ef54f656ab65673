"""Measures for `throughput`: the loop with every option off, and nanochat's, on the same full batches in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from agentforge.data.loader import Batch
from agentforge.kit.rng import Rng
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.models.ternary.convert import convert
from agentforge.phase5_training.experiments.learner import frozen_loss
from agentforge.phase5_training.experiments.turns import Turns
from agentforge.train import nanochat
from agentforge.train.config import TrainConfig
from agentforge.train.loop import Training

# Rows and tokens of a batch, steps of a turn.
_SHAPES = {"tiny": (64, 32, 5), "full": (4, 64, 1)}
_OFF: dict[str, Any] = {
    "memory": False, "act": False, "recursion": False, "persistent_tokens": 0, "sliding_window": None,
}  # fmt: skip

_TURNS = 5

Take = Callable[[int], None]


class Same:
    """The same batch again and again: so the loops are compared, and not what feeds them."""

    def __init__(self, vocabulary: int, rows: int, length: int) -> None:
        ids = Rng(42, "throughput/batch").numpy().integers(0, vocabulary, (rows, length))
        ones = (ids >= 0).astype(ids.dtype)
        self.batch = Batch(ids, ids, ones, ids[:, 0] * 0)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        return self.batch

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        return


def beside(size: str) -> dict[str, Any]:
    """Tokens a second of CPU time by round: ours, ours with ternary layers, and nanochat's, compiled or not."""
    torch.set_num_threads(1)
    rows, length, steps = _SHAPES[size]
    shape = TitanConfig.preset(size, **_OFF)
    batches = Same(shape.vocab_size, rows, length)
    plain, theirs = _model(shape), nanochat.equal(shape, length)
    parameters = {"ours": _count(plain), "nanochat": _count(theirs[0])}
    if abs(parameters["nanochat"] / parameters["ours"] - 1) > 0.02:
        raise ValueError(f"{size}: the sizes differ by more than 2 %: {parameters}")
    ternary = _model(shape)
    convert(ternary)
    takes: dict[str, Take] = {
        "ours": _ours(plain, batches),
        "ternary": _ours(ternary, batches),
        "nanochat": _theirs(*theirs, batches.batch),
        "nanochat, compiled": _theirs(*nanochat.equal(shape, length), batches.batch, compiled=True),
    }
    for take in takes.values():
        take(2)
    speeds: dict[str, list[float]] = {name: [] for name in takes}
    for _ in range(_TURNS):
        for name, take in takes.items():
            began = time.process_time()
            take(steps)
            speeds[name].append(steps * rows * length / (time.process_time() - began))
    return {"parameters": parameters, "batch": [rows, length], "speeds": speeds}


def _model(shape: TitanConfig) -> nn.Module:
    torch.manual_seed(42)
    return TitanForCausalLM(shape)


def _ours(model: nn.Module, batches: Same) -> Take:
    config = TrainConfig(
        steps=1_000_000,
        batch=len(batches.batch.input_ids),
        schedule="constant",
        warmup=0,
        threads=1,
        checkpoint_every=0,
    )
    return Turns(Training(model, batches, config, loss_of=frozen_loss)).take


def _theirs(model: nn.Module, loss_of: nanochat.LossOf, batch: Batch, *, compiled: bool = False) -> Take:
    """What a step of scripts/base_train.py is, on one process without a GradScaler."""
    optimiser = nanochat.optimiser(model)
    ids_BT = torch.from_numpy(batch.input_ids)
    compute: nanochat.LossOf = torch.compile(loss_of, dynamic=False) if compiled else loss_of

    def take(steps: int) -> None:
        for _ in range(steps):
            loss = compute(ids_BT)
            loss.backward()  # type: ignore[no-untyped-call]
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"]
            optimiser.step()
            model.zero_grad(set_to_none=True)
            loss.item()

    return take


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
