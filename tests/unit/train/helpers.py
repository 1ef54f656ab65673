"""A small model, real data, and a context that keeps what it is told."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.loader import Loader
from agentforge.data.rows import ItemRows
from agentforge.data.splits import Split
from agentforge.data.tokenizer import SMALLEST_VOCABULARY, train_tokenizer
from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.measure import Measurement
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.train.config import TrainConfig
from agentforge.train.loop import Training

PLAIN = {"memory": False, "act": False, "recursion": False, "persistent_tokens": 0}
SMALL: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
}  # fmt: skip


class Killed(BaseException):
    """As SIGKILL would: nothing of ours catches it."""


class Context:
    """What the loop needs of a PhaseContext, on a real checkpoint directory. Dies before step `kill_at` + 1."""

    def __init__(self, directory: Path, *, kill_at: int | None = None) -> None:
        self.checkpoints = Checkpoints(directory)
        self.kill_at = kill_at
        self.done: list[tuple[int, int]] = []
        self.measurements: list[Measurement] = []
        self.logs: list[str] = []
        self._steps = 0

    def progress(self, done: int, total: int = 0, unit: str = "steps", message: str = "") -> None:
        self.done.append((done, total))

    def measure(self, measurement: Measurement) -> None:
        self.measurements.append(measurement)

    def log(self, message: str, level: str = "info") -> None:
        self.logs.append(message)

    def check_stop(self, save: Callable[[], None] | None = None) -> None:
        if self._steps == self.kill_at:
            raise Killed
        self._steps += 1


@functools.cache
def codec() -> Codec:
    return Codec(
        train_tokenizer((f"Q: {a} + {b} = A: {a + b}" for a in range(50) for b in range(9)), SMALLEST_VOCABULARY)
    )


def model(seed: int = 0, **overrides: Any) -> TitanForCausalLM:
    torch.manual_seed(seed)
    tokens = {"vocab_size": codec().vocabulary, "eos_token_id": codec().eos, "pad_token_id": codec().pad}
    return TitanForCausalLM(TitanConfig.preset("tiny", **{**tokens, **SMALL, **overrides}))


def loader(batch: int = 4, *, family: str = "arithmetic", difficulties: tuple[int, ...] = (1,)) -> Loader:
    rows = ItemRows(ItemStream(family, Split.TRAIN, 1, difficulties), codec(), 48)
    return Loader([(rows, 1.0)], batch=batch, pad=codec().pad, seed=1)


def training(config: TrainConfig, **overrides: Any) -> Training:
    return Training(model(**overrides), loader(config.batch), config)
