"""Losses that jump or are no numbers: the loop goes back, leaves the batches out, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

from agentforge.kit.errors import FailedPrecondition
from agentforge.train.config import RewindConfig
from agentforge.train.loop import Training, model_loss
from agentforge.train.report import Step
from tests.unit.train.helpers import PLAIN, Context, Killed, loader, model
from tests.unit.train.test_loop import assert_equal, config, weights

REWIND = RewindConfig(most=2, every=5, window=3)


class Bad:
    """Counts the batches that it hands out, and says which of them is bad."""

    def __init__(self, factors: dict[int, float]) -> None:
        self.inner, self.factors = loader(4), factors

    def __iter__(self) -> Bad:
        return self

    def __next__(self) -> Any:
        return next(self.inner)

    def state_dict(self) -> dict[str, Any]:
        return self.inner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.inner.load_state_dict(state)

    def loss(self, titan: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return model_loss(titan, batch) * self.factors.get(self.inner.step, 1.0)


def made(factors: dict[int, float], rewind: RewindConfig = REWIND, steps: int = 16) -> Training:
    bad = Bad(factors)
    return Training(model(**PLAIN), bad, config(steps=steps, rewind=rewind), name="it", loss_of=bad.loss)  # type: ignore[arg-type]


@pytest.mark.parametrize(("factor", "what"), [(float("nan"), "nan"), (float("inf"), "inf"), (100.0, "far above")])
def test_a_bad_batch_is_left_out(factor: float, what: str, tmp_path: Path) -> None:
    one, context = made({8: factor}), Context(tmp_path)
    one.run(context)
    assert one.step == 16
    assert one.rewinds == 1
    [told] = [each for each in context.measurements if each.name == "it/rewinds"]
    assert told.value == 1
    assert told.step == 5
    assert what in context.logs[0]
    assert "back to step 5" in context.logs[0]
    assert one.loader.state_dict()["step"] == 16 + 3, "batches 6, 7 and 8 are not seen again"
    assert [point["step"] for point in one.curve] == list(range(1, 17))


def test_after_a_rewind_it_learns_as_from_there_with_other_batches_and_half_the_rate(tmp_path: Path) -> None:
    """To the bit that of a training which never met the bad batch."""
    one = made({8: float("nan")})
    one.run(Context(tmp_path / "one"))
    other = made({})
    moved, step = other._move, other._one_step

    def slower(share: float) -> float:
        return moved(share * (0.5 if other.step >= 5 else 1.0))

    def one_step() -> Step:
        if other.step == 5 and other.loader.state_dict()["step"] == 5:
            for _ in range(3):
                next(other.loader)
        return step()

    other._move, other._one_step = slower, one_step  # type: ignore[method-assign]
    other.run(Context(tmp_path / "other"))
    assert_equal(weights(one), weights(other))


@pytest.mark.parametrize("kill_at", [4, 7, 8, 10, 14])
def test_killed_before_or_after_a_rewind_it_ends_the_same(kill_at: int, tmp_path: Path) -> None:
    """Checkpoints are every 4 steps and states to go back to every 5: so they are of other steps."""
    factors = {8: float("nan"), 12: 100.0}
    whole = made(factors)
    whole.run(Context(tmp_path / "whole"))
    killed = Context(tmp_path / "cut", kill_at=kill_at)
    with pytest.raises(Killed):
        made(factors).run(killed)
    resumed = made(factors)
    checkpoint = killed.checkpoints.latest()
    assert checkpoint is not None
    resumed.load(checkpoint.path)
    resumed.run(Context(tmp_path / "cut"))
    assert_equal(weights(resumed), weights(whole))
    assert resumed.rewinds == whole.rewinds == 2


def test_nan_from_the_first_step_ends_it_after_so_many_tries(tmp_path: Path) -> None:
    one = made(dict.fromkeys(range(100), float("nan")))
    with pytest.raises(FailedPrecondition, match="it: the loss is nan at step 1, after 2 rewinds") as caught:
        one.run(Context(tmp_path))
    assert caught.value.reason == "TRAINING_DIVERGED"
    assert one.step == 0


def test_a_loss_that_only_rises_a_little_is_no_jump(tmp_path: Path) -> None:
    one = made({8: 1.3})
    one.run(Context(tmp_path))
    assert one.rewinds == 0
