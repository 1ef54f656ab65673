"""The loop learns, reports, stops, and goes on after a kill as if nothing had been."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agentforge.kit.errors import DataLoss, FailedPrecondition
from agentforge.kit.measure import Measurement
from agentforge.train import state
from agentforge.train.config import GrokfastConfig, TrainConfig
from agentforge.train.loop import Training
from tests.unit.train.helpers import PLAIN, Context, Killed, loader, model, training

GROKFAST = {
    "none": GrokfastConfig(),
    "ema": GrokfastConfig(filter="ema"),
    "ma": GrokfastConfig(filter="ma", window=3),
}


def weights(training: Training) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.own_tensors(training.model).items()}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def config(**settings: Any) -> TrainConfig:
    return TrainConfig(**{"steps": 12, "batch": 4, "warmup": 2, "checkpoint_every": 4, "threads": 1, **settings})


def test_it_learns(tmp_path: Path) -> None:
    one = training(config(steps=60, batch=8), **PLAIN)
    one.run(Context(tmp_path))
    assert one.curve[-1]["loss"] < 0.6 * one.curve[0]["loss"]


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
@pytest.mark.parametrize("filter_", ["none", "ema", "ma"])
@pytest.mark.parametrize("kill_at", [5, *(pytest.param(step, marks=pytest.mark.slow) for step in (0, 3, 11))])
def test_killed_at_any_step_it_ends_with_the_same_bytes(
    tmp_path: Path, optimiser: str, filter_: str, kill_at: int
) -> None:
    settings = config(optimiser=optimiser, grokfast=GROKFAST[filter_])
    whole = training(settings, memory=True, act=True, recursion=True, act_steps_train=2)
    whole.run(Context(tmp_path / "whole"))

    killed = Context(tmp_path / "cut", kill_at=kill_at)
    with pytest.raises(Killed):
        training(settings, memory=True, act=True, recursion=True, act_steps_train=2).run(killed)
    resumed = training(settings, memory=True, act=True, recursion=True, act_steps_train=2)
    checkpoint = killed.checkpoints.latest()
    assert (checkpoint is None) == (kill_at < 4)
    if checkpoint is not None:
        resumed.load(checkpoint.path)
        assert resumed.step == kill_at // 4 * 4
    resumed.run(Context(tmp_path / "cut"))

    assert_equal(weights(resumed), weights(whole))
    assert resumed.curve == whole.curve


def test_a_stop_writes_a_checkpoint_of_this_very_step(tmp_path: Path) -> None:
    class Stopping(Context):
        def check_stop(self, save: Any = None) -> None:
            if len(self.done) == 7:
                save()
                raise Killed

    context = Stopping(tmp_path)
    with pytest.raises(Killed):
        training(config(checkpoint_every=0), **PLAIN).run(context)
    assert context.checkpoints.newest_step() == 7


def test_accumulated_halves_are_the_whole_batch(tmp_path: Path) -> None:
    """Of rows with equally many learned tokens: the loss is a mean over each pass's own tokens."""
    ids = torch.arange(8 * 6).view(8, 6) % 20

    def loss_of(titan: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        rows = ids[(batch["input_ids"][:, 0] * 0 + torch.arange(len(batch["input_ids"]))) % 8]
        loss: Tensor = titan(input_ids=rows, labels=rows).loss
        return loss

    settings = config(steps=1, warmup=0, optimiser="adamw", schedule="constant")
    once = Training(model(**PLAIN), loader(4), settings, loss_of=loss_of)
    twice = Training(model(**PLAIN), loader(4), settings.model_copy(update={"accumulation": 2}), loss_of=loss_of)
    once.run(Context(tmp_path / "once"))
    twice.run(Context(tmp_path / "twice"))
    assert_equal(weights(once), weights(twice))


def test_a_loss_that_is_no_number_names_the_step(tmp_path: Path) -> None:
    calls = []

    def loss_of(titan: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        calls.append(1)
        loss: Tensor = titan(**batch).loss
        return loss * float("nan") if len(calls) == 3 else loss

    one = Training(model(**PLAIN), loader(4), config(), name="cognate/trunk", loss_of=loss_of)
    with pytest.raises(FailedPrecondition, match=r"cognate/trunk: the loss is nan at step 3.*lr") as caught:
        one.run(Context(tmp_path))
    assert caught.value.reason == "TRAINING_DIVERGED"


def test_patience_stops_and_returns_the_best_weights(tmp_path: Path) -> None:
    values = iter([3.0, 1.0, 2.0, 2.5, 0.0])
    seen: list[dict[str, Tensor]] = []
    settings = config(steps=20, evaluate_every=2, patience=2)

    def evaluate() -> Measurement:
        seen.append(weights(one))
        return Measurement("selection/loss", next(values), "nat", "a list", 1)

    one = Training(model(**PLAIN), loader(4), settings, evaluate=evaluate)
    one.run(Context(tmp_path))
    assert one.step == 8
    assert_equal(weights(one), seen[1])


def test_patience_survives_a_kill(tmp_path: Path) -> None:
    """The value depends on the weights alone, so a resumed run must find the same best step."""
    settings = config(steps=20, evaluate_every=2, patience=2, checkpoint_every=3)

    def made() -> Training:
        titan = model(**PLAIN)

        def evaluate() -> Measurement:
            value = float(titan.embed_tokens.weight.detach().double().sum().sin())
            return Measurement("selection/loss", value, "nat", "of the weights", 1)

        return Training(titan, loader(4), settings, evaluate=evaluate)

    whole = made()
    whole.run(Context(tmp_path / "whole"))
    killed = Context(tmp_path / "cut", kill_at=whole.step - 1)
    with pytest.raises(Killed):
        made().run(killed)
    resumed, checkpoint = made(), killed.checkpoints.latest()
    assert checkpoint is not None
    resumed.load(checkpoint.path)
    resumed.run(Context(tmp_path / "cut"))
    assert resumed.step == whole.step
    assert_equal(weights(resumed), weights(whole))


def test_events_come_at_a_sane_rate_and_the_last_always(tmp_path: Path) -> None:
    context = Context(tmp_path)
    training(config(steps=40), **PLAIN).run(context)
    losses = [m for m in context.measurements if m.name == "train/loss"]
    assert losses[-1].step == 40
    assert len(losses) < 40
    assert sum(m.n for m in losses) == 40
    assert {m.name for m in context.measurements} == {
        "train/loss", "train/gradient_norm", "train/learning_rate", "train/tokens_per_second",
    }  # fmt: skip
    assert context.done[-1] == (40, 40)


def test_bfloat16_keeps_the_weights_in_float32(tmp_path: Path) -> None:
    one = training(config(dtype="bfloat16"), **PLAIN)
    one.run(Context(tmp_path))
    assert all(tensor.dtype == torch.float32 for tensor in weights(one).values())


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    training(config(), **PLAIN).save(tmp_path)
    with pytest.raises(DataLoss, match="was saved as"):
        training(config(), **PLAIN, intermediate_size=40).load(tmp_path)
    with pytest.raises(DataLoss, match="not this model's"):
        training(config(), **PLAIN, num_hidden_layers=3).load(tmp_path)


def test_a_torn_checkpoint_is_named(tmp_path: Path) -> None:
    one = training(config(), **PLAIN)
    one.save(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 30)
    with pytest.raises(DataLoss, match=r"model\.safetensors cannot be read"):
        one.load(tmp_path)
