"""What ternary layers are trained by besides the task; and that plain ones know nothing of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agentforge.models.ternary.linear import BitLinear, Mode
from agentforge.phase5_training.configs.quantised import QuantisedConfig
from agentforge.phase5_training.quantised import Quantised, distance
from agentforge.train.loop import Training, model_loss
from agentforge.train.optim import Optimiser
from tests.unit.train.helpers import Context
from tests.unit.training import parts


def layer(weight: list[list[float]], **mode: Any) -> BitLinear:
    plain = nn.Linear(len(weight[0]), len(weight), bias=False)
    with torch.no_grad():
        plain.weight.copy_(torch.tensor(weight))
    return BitLinear(plain, Mode(**mode))


def test_distance_by_hand() -> None:
    # By absmean (1) codes are 1, 0, -1, 0; the size of those kept is 2: distances 0.25, 0.125, 0.25, 0.
    one = {"a": layer([[2.5, 0.25], [-1.5, 0.0]])}
    assert distance(one).item() == pytest.approx((2 * 0.25**2 + 0.125**2) / 4)
    # Rows by themselves, of sizes 1.5, where 0.5 is not above half the mean, and 2.
    rows = layer([[1.5, 0.5], [2.5, 1.5]], scale="channel")
    by_row = distance({"a": rows}).item()
    assert by_row == pytest.approx((0 + (0.5 / 1.5) ** 2 + 2 * 0.25**2) / 4, rel=1e-3)
    both = distance({"a": rows, "b": layer([[1.0, -1.0], [1.0, 1.0]])}).item()
    assert both == pytest.approx(by_row / 2), "of all weights"
    assert distance({"a": layer([[3.0, 0.0], [-3.0, 0.0]])}).item() == 0
    assert distance({}).item() == 0


def test_the_regulariser_draws_latents_to_their_codes() -> None:
    one = layer([[2.5, 0.25], [-1.5, 0.0]])
    quantised = Quantised(nn.Sequential(one), QuantisedConfig(regulariser=8.0))
    quantised.loss().backward()  # type: ignore[no-untyped-call]
    assert one.weight.grad is not None
    # 8 / 4 weights, by 2 of the square and 1 / 2 of the unit.
    assert one.weight.grad.tolist() == [[0.5, 0.25], [0.5, 0.0]]
    assert Quantised(nn.Sequential(one), QuantisedConfig()).loss().item() == 0


@pytest.mark.parametrize("fit", ["absmean", "survivors"])
def test_the_regulariser_alone_leaves_a_layer_its_size(fit: str) -> None:
    torch.manual_seed(1)
    one = BitLinear(nn.Linear(32, 32, bias=False), Mode(fit=fit))  # type: ignore[arg-type]
    before = one.codes()
    kept = one.weight.detach()[before != 0].abs().mean().item()
    for _ in range(100):
        (gradient_OI,) = torch.autograd.grad(distance({"a": one}), one.weight)
        with torch.no_grad():
            one.weight -= 0.1 * 32 * 32 * kept**2 * gradient_OI  # a fifth of the distance
    assert distance({"a": one}).item() < 1e-4
    assert torch.equal(one.codes(), before)
    assert one.weight.detach()[before != 0].abs().mean().item() == pytest.approx(kept, rel=0.01)


def stepped(quantised: Quantised, weight: Tensor, to: list[list[float]]) -> None:
    quantised.before_step()
    with torch.no_grad():
        weight.copy_(torch.tensor(to))
    quantised.after_step(0, 1.0)


def test_flips_are_counted() -> None:
    one, plain = layer([[1.0, -1.0], [1.0, 1.0]]), nn.Linear(2, 2)
    quantised = Quantised(nn.Sequential(one, plain), QuantisedConfig(scaling="none", memory=0.5))
    assert quantised.measurements(1) == []
    stepped(quantised, one.weight, [[1.1, -1.0], [1.0, 0.9]])
    assert quantised.flips == {"0": 0}
    stepped(quantised, one.weight, [[-1.0, -1.0], [0.0, 1.0]])
    assert quantised.flips == {"0": 2}
    assert quantised.shares == {"0": 0.25}, "half of what was, half of 2 in 4"
    flips, share = quantised.measurements(2)
    assert (flips.name, flips.value, flips.step) == ("forge/quantised/flips", 2, 2)
    assert (share.name, share.value) == ("forge/quantised/flip_share", 0.25)
    again = Quantised(nn.Sequential(one, plain), QuantisedConfig(scaling="none", memory=0.5))
    again.load_state_dict(quantised.state_dict())
    for each in (quantised, again):
        stepped(each, one.weight, [[-1.0, 1.0], [0.0, 1.0]])
        stepped(each, one.weight, [[-1.0, -1.0], [0.0, 1.0]])
    assert again.flips == quantised.flips == {"0": 1}


def test_factors_grow_while_too_few_flip_and_fall_while_too_many() -> None:
    config = QuantisedConfig(scaling="update", wanted=0.25, most=3.0, memory=0.0)
    one = layer([[1.0, -1.0], [1.0, 1.0]])
    quantised = Quantised(nn.Sequential(one), config)
    found = []
    for to in ([[1.0, 1.0], [1.0, 1.0]], [[-1.0, 1.0], [-1.0, 1.0]], [[-1.0, 1.0], [-1.0, 1.0]]):
        quantised.factors["0"] = 1.0
        stepped(quantised, one.weight, to)
        found.append(quantised.factors["0"])
    assert found == pytest.approx([1, 0.5**0.5, 3**0.5]), "1, 2 and 0 of 4 flipped; 1 was wanted"
    for _ in range(5):
        stepped(quantised, one.weight, [[-1.0, 1.0], [-1.0, 1.0]])
    assert quantised.factors["0"] == 3, "no further"
    counting = Quantised(nn.Sequential(one), QuantisedConfig(scaling="none", wanted=0.01))
    stepped(counting, one.weight, [[1.0, -1.0], [-1.0, 1.0]])
    assert counting.factors == {"0": 1}, "it only counts"


@pytest.mark.parametrize("scaling", ["none", "gradient", "update"])
def test_what_is_scaled(scaling: Any) -> None:
    one = layer([[1.0, -1.0], [1.0, 1.0]])
    quantised = Quantised(nn.Sequential(one), QuantisedConfig(scaling=scaling, wanted=0.01))
    quantised.factors["0"] = 0.5
    one.weight.grad = torch.ones(2, 2)
    stepped(quantised, one.weight, [[2.0, -1.0], [1.0, 1.0]])
    assert float(one.weight.grad[0, 0]) == (0.5 if scaling == "gradient" else 1)
    assert one.weight[0, 0].item() == (1.5 if scaling == "update" else 2)


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_optimisers_undo_a_factor_of_the_gradient(optimiser: str) -> None:
    """All but Adam's epsilon; which is why updates can be scaled instead."""
    moved = []
    for factor in (1.0, 0.25):
        torch.manual_seed(1)
        one = nn.Linear(16, 16)
        optimisers = Optimiser(one, parts.config(optimiser=optimiser, schedule="constant", warmup=0))
        before = one.weight.detach().clone()
        for step in range(4):
            dice = torch.Generator().manual_seed(step)
            one.weight.grad = factor * torch.randn(16, 16, generator=dice)
            optimisers.step(step)
        moved.append(one.weight.detach() - before)
    assert torch.allclose(moved[0], moved[1], rtol=1e-3, atol=1e-6)


def training(kind: str, config: QuantisedConfig | None, **settings: Any) -> Training:
    model = parts.model(kind)
    if config is None:
        return Training(model, parts.loader(), parts.config(**settings))
    one = Quantised(model, config)
    return Training(
        model, parts.loader(), parts.config(**settings), parts={"quantised": one},
        loss_of=lambda model, given: model_loss(model, given) + one.loss(),
    )  # fmt: skip


OFF = QuantisedConfig(scaling="none", count=False)
ON = QuantisedConfig(regulariser=1.0, scaling="update", wanted=0.05)


@pytest.mark.parametrize(
    ("kind", "config"),
    [("ternary titan", OFF), ("ternary llama", QuantisedConfig(scaling="none")), ("titan", ON), ("llama", ON)],
)
def test_off_or_without_ternary_layers_nothing_changes(kind: str, config: QuantisedConfig, tmp_path: Path) -> None:
    without, given = training(kind, None, steps=3), training(kind, config, steps=3)
    without.run(Context(tmp_path / "without"))
    given.run(Context(tmp_path / "given"))
    parts.assert_equal(parts.weights(given), parts.weights(without))
    assert bool(given.parts["quantised"].measurements(3)) == (kind == "ternary llama"), "who counts, tells"


@pytest.mark.parametrize(("kind", "scaling"), [("ternary titan", "update"), ("ternary llama", "gradient")])
def test_killed_it_ends_the_same(kind: str, scaling: Any, tmp_path: Path) -> None:
    config = ON.model_copy(update={"scaling": scaling})
    whole, resumed = parts.assert_killed_is_whole(lambda: training(kind, config, steps=5), tmp_path, (1, 3))
    state = whole.parts["quantised"].state_dict()
    assert any(factor != 1 for factor in state["factors"].values()), "or this showed nothing"
    assert resumed.parts["quantised"].state_dict() == state
    without = training(kind, None, steps=5)
    without.run(Context(tmp_path / "without"))
    found, other = parts.weights(whole), parts.weights(without)
    assert any(not torch.equal(found[name], other[name]) for name in found)
