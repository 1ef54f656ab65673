"""What phases hang into the loop: parts, a pace, and batches with tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from agentforge.kit.measure import Measurement
from agentforge.train.config import GrokfastConfig
from agentforge.train.loop import Training
from agentforge.train.parts import Part
from tests.unit.train.helpers import PLAIN, Context, Killed, loader, model, training
from tests.unit.train.test_loop import assert_equal, config, weights


class Noise(Part):
    """Moves one weight by a sum of all it has seen: what it forgets shows in the end."""

    def __init__(self, weight: Tensor) -> None:
        self.weight, self.steps, self.sum = weight, 0, torch.zeros(())
        self.shares: list[float] = []

    def before_step(self) -> None:
        assert self.weight.grad is not None
        self.sum = self.sum + self.weight.grad.abs().mean()

    @torch.no_grad()
    def after_step(self, step: int, share: float) -> None:
        self.steps += 1
        self.shares.append(share)
        self.weight.add_(self.sum * 1e-3 * self.steps)

    def measurements(self, step: int) -> list[Measurement]:
        return [Measurement("noise", float(self.sum), "1", "of a test", 1, None, step)]

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps = state["steps"]

    def tensors(self) -> dict[str, Tensor]:
        return {"sum": self.sum}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        self.sum = tensors["sum"]


@dataclass
class Halves:
    """Half the rate in the first half; from the first evaluation below 10 nats, a tenth."""

    late: bool = False
    seen: int = 0

    @dataclass(frozen=True)
    class Now:
        stage: str
        rate: float
        grokfast: float

    def at(self, step: int, steps: int) -> Now:
        first = step < steps / 2
        return self.Now("first" if first else "second", 0.1 if self.late else 0.5 if first else 1.0, float(first))

    def observe(self, step: int, steps: int, loss: float) -> bool:
        self.seen += 1
        self.late = loss < 10
        return self.seen == 1 and self.late

    def state_dict(self) -> dict[str, Any]:
        return {"late": self.late, "seen": self.seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.late, self.seen = state["late"], state["seen"]


def made(**settings: Any) -> tuple[Training, Noise]:
    titan = model(**PLAIN)
    noise = Noise(titan.embed_tokens.weight)
    loss = Measurement("selection/loss", 1.0, "nat", "a constant", 1)
    usual = {"schedule": "constant", "warmup": 0, "evaluate_every": 5, "grokfast": GrokfastConfig(filter="ema")}
    one = Training(
        titan,
        loader(4),
        config(**{**usual, **settings}),
        evaluate=lambda: loss,
        pace=Halves(),
        parts={"noise": noise},
    )
    return one, noise


def test_parts_are_told_the_rate_that_the_pace_gives(tmp_path: Path) -> None:
    one, noise = made(steps=8)
    context = Context(tmp_path)
    one.run(context)
    assert noise.shares == [0.5] * 4 + [1.0] + [0.1] * 3
    assert "noise" in [each.name for each in context.measurements]
    assert context.logs == ["train: the stage ends early, after step 5: the loss stands"]


@pytest.mark.parametrize("kill_at", [4, 6, 11])
def test_killed_with_parts_and_pace_it_ends_the_same(tmp_path: Path, kill_at: int) -> None:
    whole, noise = made()
    whole.run(Context(tmp_path / "whole"))
    killed = Context(tmp_path / "cut", kill_at=kill_at)
    with pytest.raises(Killed):
        made()[0].run(killed)
    resumed, other = made()
    checkpoint = killed.checkpoints.latest()
    assert checkpoint is not None
    resumed.load(checkpoint.path)
    resumed.run(Context(tmp_path / "cut"))
    assert_equal(weights(resumed), weights(whole))
    assert other.steps == noise.steps
    assert torch.equal(other.sum, noise.sum)


def test_without_weight_grokfast_only_remembers(tmp_path: Path) -> None:
    """As with a lamb of 0, to the bit; and what it remembered serves the steps after it."""
    with_pace, _ = made(steps=3, grokfast=GrokfastConfig(filter="ema", lamb=2.0))
    with_pace.pace = Halves()
    with_pace.pace.at = lambda step, steps: Halves.Now("", 1.0, 0.0)  # type: ignore[method-assign]
    with_pace.parts = {}
    plain = training(config(steps=3, schedule="constant", warmup=0, evaluate_every=5), **PLAIN)
    for number, one in enumerate((with_pace, plain)):
        one.run(Context(tmp_path / f"{number}"))
    assert_equal(weights(with_pace), weights(plain))
    assert with_pace.grokfast.tensors()
