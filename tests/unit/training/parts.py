"""Models, rows and settings of a few steps, and that a kill changes nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.loader import Loader
from agentforge.data.rows import ItemRows
from agentforge.data.splits import Split
from agentforge.models.ternary.convert import convert
from agentforge.train import state
from agentforge.train.config import TrainConfig
from agentforge.train.loop import Training
from tests import pico
from tests.unit.train.helpers import Context, Killed

KINDS = ("titan", "ternary titan", "llama", "ternary llama")


def model(kind: str, **fields: Any) -> Any:
    """Of two layers; a Titan goes through them several times."""
    if kind.endswith("llama"):
        made: Any = pico.llama(**fields)
    else:
        made = pico.titan(**{"num_hidden_layers": 2, "recursion": True, **fields})
    if kind.startswith("ternary"):
        convert(made)
    return made


@functools.cache
def codec() -> Codec:
    return Codec(pico.tokenizer())


def rows(family: str = "arithmetic", difficulty: int = 1) -> ItemRows:
    return ItemRows(ItemStream(family, Split.TRAIN, 1, (difficulty,)), codec(), pico.WINDOW)


def loader(*families: str, batch: int = 4) -> Loader:
    sources = [(rows(family), 1.0) for family in families or ("arithmetic",)]
    return Loader(sources, batch=batch, pad=codec().pad, seed=1)


def config(**settings: Any) -> TrainConfig:
    usual = {"steps": 8, "batch": 4, "warmup": 2, "checkpoint_every": 1, "threads": 1, "optimiser": "adamw"}
    return TrainConfig(**{**usual, **settings})


def weights(training: Training) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.own_tensors(training.model).items()}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def assert_killed_is_whole(
    make: Callable[[], Training], place: Path, kills: tuple[int, ...]
) -> tuple[Training, Training]:
    """Killed at each of these steps and resumed, it ends with the weights of a run that nobody killed."""
    whole = make()
    whole.run(Context(place / "whole"))
    for kill in kills:
        torch.manual_seed(kill)  # nothing may hang on what was drawn before
        killed = Context(place / f"{kill}", kill_at=kill)
        with pytest.raises(Killed):
            make().run(killed)
        resumed = make()
        checkpoint = killed.checkpoints.latest()
        assert checkpoint is not None
        assert checkpoint.step == kill
        resumed.load(checkpoint.path)
        resumed.run(Context(place / f"{kill}"))
        assert_equal(weights(resumed), weights(whole))
        assert resumed.curve == whole.curve
    return whole, resumed
