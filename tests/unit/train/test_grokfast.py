"""The filter of the paper, against numbers worked by hand, and what it must not be."""

import torch
from torch import Tensor

from agentforge.train.config import GrokfastConfig
from agentforge.train.grokfast import Grokfast


def filtered(config: GrokfastConfig, *gradients: float) -> list[float]:
    grokfast = Grokfast(config)
    out = []
    for value in gradients:
        gradient = {"w": torch.tensor([value], dtype=torch.float64)}
        grokfast(gradient)
        out.append(gradient["w"].item())
    return out


def test_ema_against_a_hand_worked_example() -> None:
    """alpha .5, lamb 2. Averages: 4; (4+0)/2 = 2; (2+8)/2 = 5. So 4 + 8 = 12; 0 + 4 = 4; 8 + 10 = 18."""
    assert filtered(GrokfastConfig(filter="ema", alpha=0.5, lamb=2.0), 4, 0, 8) == [12, 4, 18]


def test_ma_against_a_hand_worked_example() -> None:
    """Window 2, lamb 5: nothing until two were seen; then 0 + 5 * 2 = 10; 8 + 5 * 4 = 28."""
    assert filtered(GrokfastConfig(filter="ma", window=2, lamb=5.0), 4, 0, 8) == [4, 10, 28]


def test_none_changes_nothing() -> None:
    assert filtered(GrokfastConfig(), 4, 0, 8) == [4, 0, 8]


def test_it_amplifies_slow_gradients_and_not_fast_ones() -> None:
    """The opposite, gradient + lamb * (gradient - ema), would give 1 and about 3 times."""
    config = GrokfastConfig(filter="ema", alpha=0.98, lamb=2.0)
    steady = filtered(config, *[1.0] * 400)
    flipping = filtered(config, *[1.0, -1.0] * 200)
    assert abs(steady[-1] - 3) < 1e-9
    assert abs(flipping[-1]) < 1.05


def test_its_memory_goes_through_a_checkpoint() -> None:
    for config in (GrokfastConfig(filter="ema"), GrokfastConfig(filter="ma", window=3)):
        gradients = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(0))
        whole, cut = Grokfast(config), Grokfast(config)
        for step, value in enumerate(gradients):
            one, other = {"a.b": value.clone()}, {"a.b": value.clone()}
            whole(one)
            cut(other)
            assert torch.equal(one["a.b"], other["a.b"])
            if step == 2:
                kept: dict[str, Tensor] = cut.tensors()
                cut = Grokfast(config)
                cut.load(kept)
