"""Output errors, thresholds and statistics against cases that can be worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.kit.errors import FailedPrecondition, InvalidInput
from agentforge.models.ternary.convert import convert, projections
from agentforge.models.ternary.linear import Mode
from agentforge.phase4_bitnet import activations as seeing
from agentforge.phase4_bitnet.activations import Seen, activations
from agentforge.phase4_bitnet.calibration import (
    calibrate,
    calibrated,
    modes_of,
    output_error,
    sensitivities,
)
from agentforge.phase4_bitnet.config import CalibrationConfig, TernaryConfig
from agentforge.train.evaluate import answer_nats
from tests import pico


def layer(weights: list[list[float]], *, bias: bool = False) -> nn.Linear:
    found = nn.Linear(len(weights[0]), len(weights), bias=bias)
    with torch.no_grad():
        found.weight.copy_(torch.tensor(weights))
    return found


def seen(x_NI: torch.Tensor) -> Seen:
    found = Seen("it", 1)
    found.hear(nn.Identity(), (x_NI,))
    return found


@pytest.fixture
def codec() -> Codec:
    return Codec(pico.tokenizer())


@pytest.fixture
def items() -> list[Item]:
    return [i for f in ("nested", "recall") for i in ItemStream(f, Split.CALIBRATION, 1, (2,)).distinct(12)]


UNITS = 127 * torch.eye(4)  # one input after the other, exact in 8 bits: the outputs are the weights' columns


def test_the_output_error_by_hand() -> None:
    plain = layer([[1.0, -1.0, 0.375, 0.125]], bias=True)  # mean size 0.625: codes 1, -1, 1, 0 times 0.625
    squares = 1 + 1 + 0.375**2 + 0.125**2
    off = 0.375**2 + 0.375**2 + 0.25**2 + 0.125**2
    assert output_error(plain, Mode(), UNITS) == pytest.approx(off / squares, rel=1e-5)
    # above 0.8 * 0.625 are two weights, of mean size 1
    kept_exactly = (0.375**2 + 0.125**2) / squares
    survivors = Mode(threshold=0.8, fit="survivors")
    assert output_error(plain, survivors, UNITS) == pytest.approx(kept_exactly, rel=1e-5)
    assert output_error(layer([[0.0] * 4]), Mode(), UNITS) == 0


def test_the_threshold_of_least_output_error_is_chosen() -> None:
    """The third weight matters only where its input does."""
    plain, config = layer([[1.0, -1.0, 0.5, 0.1]]), CalibrationConfig()
    for heard, kept in ((UNITS, 3), (UNITS * torch.tensor([1.0, 1.0, 0.0, 0.0]), 2)):
        found = calibrated(plain, seen(heard), Mode(), config)
        assert found.zeros == 1 - kept / 4
        assert found.error < found.error_uncalibrated
    assert found.error == pytest.approx(0, abs=1e-9), "of the two that matter each is 1 in size"
    off = calibrated(plain, seen(UNITS), Mode(), CalibrationConfig(thresholds=False))
    assert (off.mode, off.error) == (Mode(), off.error_uncalibrated)


def test_with_a_norm_the_quantisation_alone_is_the_error() -> None:
    x_NI = torch.randn(50, 8, generator=torch.Generator().manual_seed(1)) * 100
    plain = layer(torch.randn(4, 8, generator=torch.Generator().manual_seed(2)).tolist())
    same = output_error(plain, Mode(norm=True), x_NI)
    assert 0 < same < 1
    assert output_error(plain, Mode(norm=True), x_NI * 1000) == pytest.approx(same, rel=1e-3)


def test_what_is_ternary_already_keeps_its_codes() -> None:
    plain = layer([[0.3, -0.3, 0.0, 0.3], [0.3, 0.0, 0.0, -0.3]])
    found = calibrated(plain, seen(UNITS), Mode(), CalibrationConfig())
    assert found.was_ternary
    assert found.error == pytest.approx(0, abs=1e-12)
    assert found.mode.fit == "survivors"
    model = nn.Sequential(plain)
    convert(model, ["0"], found.mode)
    assert torch.equal(model(UNITS), F.linear(UNITS, plain.weight))


def test_statistics_of_all_and_tokens_evenly_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Seen("it", 3)
    x_NI = torch.arange(40.0).view(10, 4)
    x_NI[0] = torch.tensor([0.0, 0.001, 0.0, 4.0])  # 0.001 is far below 4 / 127 / 2
    for piece in (x_NI[:4], x_NI[4:5], x_NI[5:]):
        found.hear(nn.Identity(), (piece[None],))
    assert torch.equal(found.x_NI, x_NI[::3])
    assert (found.tokens, found.absmax, found.lost) == (10, 39.0, 1 / 40)
    assert found.rms == pytest.approx(math.sqrt(float(x_NI.square().mean())))


@pytest.mark.parametrize(("make", "passes"), [(pico.titan, 2), (pico.llama, 1)])
def test_the_model_itself_is_heard(make: Any, passes: int, codec: Codec, items: list[Item]) -> None:
    """Every token of every item, each time that it passes, whatever the batch, and no padding."""
    model = make().eval()
    names = projections(model)
    found, twin = (activations(model, codec, items, names, batch) for batch in (24, 5))
    tokens = passes * sum(len(codec.item_ids(item)[0]) for item in items)
    assert [each.tokens for each in found] == [each.tokens for each in twin] == [tokens] * len(names)
    for each, other in zip(found, twin, strict=True):
        assert each.absmax == pytest.approx(other.absmax, rel=1e-4)
        assert each.rms == pytest.approx(other.rms, rel=1e-4)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_activations_that_are_not_finite_are_told_by_layer(codec: Codec, items: list[Item]) -> None:
    model = pico.llama().eval()
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.fill_(3e38)
    with pytest.raises(FailedPrecondition) as caught:
        calibrate(model, codec, items, TernaryConfig(), CalibrationConfig())
    assert (caught.value.reason, caught.value.field) == ("ACTIVATIONS_NOT_FINITE", "model.layers.0.mlp.down_proj")
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_layers_above_the_bound_stay_as_they_are(codec: Codec, items: list[Item]) -> None:
    model = pico.llama().eval()
    every = calibrate(model, codec, items, TernaryConfig(), CalibrationConfig())
    assert modes_of(every).keys() == set(projections(model))
    errors = sorted(each.error for each in every)
    middle = (errors[6] + errors[7]) / 2
    measured = CalibrationConfig(high_precision="measured", bound=middle)
    some = calibrate(model, codec, items, TernaryConfig(), measured)
    assert {each.name for each in some if each.ternary} == {each.name for each in every if each.error < middle}
    with pytest.raises(FailedPrecondition, match="the least is") as caught:
        calibrate(model, codec, items, TernaryConfig(), measured.model_copy(update={"bound": errors[0] / 2}))
    assert caught.value.reason == "ALL_HIGH_PRECISION"


def test_sensitivity_is_the_loss_of_one_layer_alone(codec: Codec, items: list[Item]) -> None:
    model = pico.llama().eval()
    layers = calibrate(model, codec, items, TernaryConfig(), CalibrationConfig())
    before, count = answer_nats(model, codec, items, batch=8)
    found = sensitivities(model, codec, items, layers, 8)
    assert answer_nats(model, codec, items, batch=8)[0] == before, "the model is as it was"
    alone = pico.llama().eval()
    convert(alone, [found[3].name], found[3].mode)
    assert found[3].sensitivity == (answer_nats(alone, codec, items, batch=8)[0] - before) / count != 0
    assert [replace(each, sensitivity=None, sensitivity_tokens=0) for each in found] == layers
    assert {one.name.rpartition("/")[2] for one in found[3].measured} == {"output_error", "sensitivity"}


def test_a_group_that_does_not_fit_is_told(codec: Codec, items: list[Item]) -> None:
    with pytest.raises(InvalidInput, match="32 inputs, which groups of 24 do not divide"):
        convert(pico.llama(), None, Mode("group", 24))


def test_few_tokens_are_kept_of_many(codec: Codec, items: list[Item], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeing, "TOKENS", 50)
    (found,) = activations(pico.llama().eval(), codec, items, ["model.layers.0.mlp.down_proj"], 8)
    assert 50 <= len(found.x_NI) < 100 < found.tokens
