"""Zeros in ternary layers: codes, scales, and a training afterwards."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import BitLinear, Mode, ternary_layers
from agentforge.models.ternary.quantise import absmean
from agentforge.shrink.masks import Zeros, all_but
from agentforge.shrink.pruning import prune
from agentforge.shrink.pruning.latents import zero_latents
from tests import pico
from tests.unit.shrink.toys import codec, gauss, items, train

LATENT = torch.from_numpy(gauss(64, 64))
MODES = [Mode(), Mode("channel"), Mode("group", 16), Mode(fit="survivors"), Mode("group", 16, fit="survivors")]


def layer(mode: Mode, latent_OI: torch.Tensor = LATENT) -> BitLinear:
    plain = torch.nn.Linear(64, 64, bias=False)
    plain.weight.data.copy_(latent_OI)
    return BitLinear(plain, mode)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])  # 0.31 of Gaussian latents have code 0 already
@pytest.mark.parametrize("mode", MODES)
def test_codes_that_are_kept_stay(mode: Mode, share: float) -> None:
    made, kept = layer(mode), all_but(torch.from_numpy(gauss(64, 64)[::-1].copy()).abs(), share)  # any of them
    codes, scales = made.quantised()
    zero_latents(made, kept)
    assert torch.equal(made.codes(), codes * kept)
    assert not made.weight[~kept].any()
    if mode.fit == "absmean":
        there = (codes * kept).view(*scales.shape, -1).any(-1) if mode.scale != "tensor" else True
        assert torch.equal(made.scales().where(torch.as_tensor(there), scales), scales)


def test_latents_that_are_only_made_zero_change_the_scale() -> None:
    kept = all_but(LATENT.abs(), 0.5)
    shrunk = absmean(LATENT * kept, "tensor") / absmean(LATENT, "tensor")
    assert float(shrunk) == pytest.approx(0.80, abs=0.01)


def test_weights_that_are_ternary_as_they_stand_stay_so() -> None:
    made, kept = layer(Mode(fit="survivors"), LATENT.sign() * 0.37), all_but(LATENT.abs(), 0.5)
    zero_latents(made, kept)
    assert torch.equal(made.codes() * made.scales(), LATENT.sign() * kept * torch.tensor(0.37))


@pytest.mark.parametrize("way", ["magnitude", "wanda"])
def test_zeros_stay_through_healing(way: Any) -> None:
    model = pico.titan()
    convert(model)
    masks = prune(model, way, "0.6", codec=codec(), items=items(), batch=4)
    assert masks.keys() == {f"{name}.weight" for name in ternary_layers(model)}
    free = copy.deepcopy(model)
    train(model, 3, parts={"zeros": Zeros(model, masks)})
    train(free, 3)
    for name, each in ternary_layers(model).items():
        kept = masks[f"{name}.weight"]
        assert not each.codes()[~kept].any()
        assert ternary_layers(free)[name].codes()[~kept].any()
