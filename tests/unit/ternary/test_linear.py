"""A BitLinear is its plain layer at strength 0, to the bit; the paper's at 1; and learns as the paper says."""

from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.linear import BitLinear, Mode, frozen, set_strength
from agentforge.models.ternary.quantise import per_weight

MODES = [
    Mode(), Mode("channel"), Mode("group", 8), Mode(threshold=0.8), Mode("channel", fit="survivors", threshold=0.3),
    Mode(norm=True),
]  # fmt: skip


def made(mode: Mode, bias: bool = True) -> tuple[nn.Linear, BitLinear, Tensor]:
    torch.manual_seed(0)
    plain = nn.Linear(24, 10, bias)
    return plain, BitLinear(plain, mode), torch.randn(3, 5, 24)


def parts(layer: BitLinear, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The paper's formula, in float64: x, its quantised form, its scale; the weights as they count."""
    x = x.double()
    if layer.mode.norm:
        x = x * (x.square().mean(-1, keepdim=True) + torch.finfo(torch.float32).eps).rsqrt()
    scale = x.abs().amax(-1, keepdim=True) / 127
    w_OI = layer.codes() * per_weight(layer.scales(), layer.in_features)
    return x, (x / scale).round() * scale, scale, w_OI.double()


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_strength_zero_is_the_plain_layer_to_the_bit(mode: Mode) -> None:
    plain, layer, x = made(mode)
    set_strength(layer, 0.0)
    expected = plain(F.rms_norm(x, (24,)) if mode.norm else x)
    assert torch.equal(layer(x), expected)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_strength_one_is_the_papers_formula(mode: Mode) -> None:
    plain, layer, x = made(mode)
    _, rounded, _, w_OI = parts(layer, x)
    torch.testing.assert_close(layer(x).double(), rounded @ w_OI.T + plain.bias.double(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_strength_leads_from_one_to_the_other_without_a_jump(mode: Mode) -> None:
    _, layer, x = made(mode)
    found = []
    for strength in (0.0, 1e-7, 0.5, 1 - 1e-7, 1.0):
        set_strength(layer, strength)
        found.append(layer(x))
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[3], found[4], rtol=1e-5, atol=1e-5)
    assert (found[2] - found[0]).abs().max() > 1e-3
    assert (found[2] - found[4]).abs().max() > 1e-3


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_gradients_pass_straight_through(mode: Mode, strength: float) -> None:
    """dL/dw is dL/dy times the activations as they were used, and dL/dx times the weights as they were used."""
    plain, layer, x = made(mode)
    set_strength(layer, strength)
    x.requires_grad_()
    y = layer(x)
    up = torch.randn_like(y)
    y.backward(up)
    exact, rounded, _, w_OI = parts(layer, x.detach())
    used_x, used_w = exact.lerp(rounded, strength), plain.weight.detach().double().lerp(w_OI, strength)
    assert plain.weight.grad is not None
    assert plain.bias.grad is not None
    assert x.grad is not None
    expected_w = up.double().flatten(0, 1).T @ used_x.flatten(0, 1)
    torch.testing.assert_close(plain.weight.grad.double(), expected_w, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(plain.bias.grad, up.sum((0, 1)))
    if not mode.norm:
        torch.testing.assert_close(x.grad.double(), up.double() @ used_w, rtol=1e-4, atol=1e-5)


def test_latents_that_are_rounded_to_zero_or_beyond_one_still_learn() -> None:
    _, layer, x = made(Mode())
    layer(x).square().sum().backward()
    assert layer.weight.grad is not None
    code_OI, gradient_OI = layer.codes(), layer.weight.grad
    for code in (-1, 0, 1):
        assert (gradient_OI[code_OI == code] != 0).all()


def test_the_integer_part_is_exact_in_any_order() -> None:
    """Float32 holds the sums of codes exactly, so a kernel's int32 and this layer agree before the scales."""
    torch.manual_seed(0)
    layer = BitLinear(nn.Linear(2048, 16, bias=False), Mode())
    code_MI = torch.randint(-127, 128, (4, 2048), dtype=torch.int8)
    code_MI[:, 0] = 127  # then the scale is 1
    whole_MO = code_MI.int() @ layer.codes().int().T
    assert torch.equal(layer(code_MI.float()), whole_MO.float() * layer.scales())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_it_answers_in_the_type_that_it_is_asked_in(dtype: torch.dtype) -> None:
    plain, layer, x = made(Mode())
    wide = layer(x)
    narrow = BitLinear(plain.to(dtype), Mode())(x.to(dtype))
    assert narrow.dtype == dtype
    assert F.cosine_similarity(narrow.flatten().double(), wide.flatten().double(), dim=0) > 0.99


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"strength": 1.5}, "strength"), ({"strength": float("nan")}, "strength"), ({"threshold": -0.1}, "threshold"),
     ({"threshold": float("inf")}, "threshold"), ({"scale": "group"}, "group"), ({"group": 8}, "group"),
     ({"scale": "row"}, "scale")],
)  # fmt: skip
def test_a_mode_that_makes_no_sense_is_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Mode(**fields)
    assert caught.value.field == field


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_frozen_it_computes_the_same_and_thaws(mode: Mode) -> None:
    _, layer, x = made(mode)
    expected = layer(x)
    with frozen(layer):
        assert torch.equal(layer(x), expected)
        with torch.no_grad():
            layer.weight.neg_()
        assert torch.equal(layer(x), expected), "nothing is found anew"
    assert not torch.equal(layer(x), expected), "a weight that changed counts again"


def test_frozen_it_learns_the_same() -> None:
    gradients = []
    for freeze in (False, True):
        _, layer, x = made(Mode())
        with frozen(layer) if freeze else nullcontext():
            layer(layer(x)[..., :1].expand(3, 5, 24)).square().sum().backward()
        assert layer.weight.grad is not None
        gradients.append(layer.weight.grad)
    assert torch.equal(*gradients)
