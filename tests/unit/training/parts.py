"""The loop with what the parts ask of it: calls before and after each step, and their tensors in checkpoints."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
import torch
from torch import Tensor, nn

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.loader import Loader
from agentforge.data.rows import ItemRows
from agentforge.data.splits import Split
from agentforge.models.ternary.convert import convert
from agentforge.train import state
from agentforge.train.config import TrainConfig
from agentforge.train.loop import Batches, LossOf, Training, model_loss
from tests import pico
from tests.unit.train.helpers import Context, Killed

KINDS = ("titan", "ternary titan", "llama", "ternary llama")


class HasTensors(Protocol):
    def tensors(self) -> dict[str, Tensor]: ...
    def load(self, tensors: dict[str, Tensor]) -> None: ...


class HasState(Protocol):
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class WithPart(Training):
    def __init__(
        self,
        model: nn.Module,
        loader: Batches,
        config: TrainConfig,
        *,
        loss_of: LossOf = model_loss,
        before: Callable[[], object] = lambda: None,
        after: Callable[[int], object] = lambda step: None,
        tensors: HasTensors | None = None,
        json: HasState | None = None,
    ) -> None:
        super().__init__(model, loader, config, loss_of=loss_of)
        self.tensors, self.json = tensors, json
        move = self.optimiser.step

        def between(step: int) -> float:
            before()
            share = move(step)
            after(step)
            return share

        self.optimiser.step = between  # type: ignore[method-assign]

    def save(self, directory: Path) -> None:
        super().save(directory)
        if self.tensors is not None:
            state.save_tensors(directory / "part.safetensors", self.tensors.tensors())
        if self.json is not None:
            state.save_json(directory / "part.json", self.json.state_dict())

    def load(self, directory: Path) -> None:
        super().load(directory)
        if self.tensors is not None:
            self.tensors.load(state.load_tensors(directory / "part.safetensors"))
        if self.json is not None:
            self.json.load_state_dict(state.load_json(directory / "part.json"))


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
    make: Callable[[], WithPart], place: Path, kills: tuple[int, ...]
) -> tuple[WithPart, WithPart]:
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
