"""Linear layers that compute with ternary weights and 8-bit activations while they learn in full precision."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.quantise import (
    ROUND_TO_NEAREST,
    SCALES,
    Scale,
    absmax_int8,
    absmean,
    codes,
    per_weight,
    straight_through,
    survivors,
)


@dataclass(frozen=True)
class Mode:
    """How a layer is ternary. `fit`: a scale is the mean size of all weights (the paper's), or of those kept."""

    scale: Scale = "tensor"
    group: int = 0  # inputs that share a scale, where scale is "group"
    threshold: float = ROUND_TO_NEAREST  # |weight| / mean size up to which it is zero
    fit: Literal["absmean", "survivors"] = "absmean"
    strength: float = 1.0  # lambda: 0 is the plain layer, 1 the ternary one
    norm: bool = False  # RMS norm before quantisation, without weights, so that state dicts carry over

    def __post_init__(self) -> None:
        if self.scale not in SCALES or self.fit not in ("absmean", "survivors"):
            raise _out("scale", f"no scale {self.scale!r} fitted by {self.fit!r} is known")
        if (self.scale == "group") != (self.group > 0):
            raise _out("group", f"a group of {self.group} does not go with one scale for each {self.scale}")
        if not 0 <= self.strength <= 1:
            raise _out("strength", f"strength is {self.strength}, outside [0, 1]")
        if not (math.isfinite(self.threshold) and self.threshold >= 0):
            raise _out("threshold", f"threshold is {self.threshold}; it is a finite number from 0 on")


class BitLinear(nn.Linear):
    """Its `weight` holds the latents, by the name and shape of the layer it stands for."""

    def __init__(self, plain: nn.Linear, mode: Mode) -> None:
        super().__init__(plain.in_features, plain.out_features, plain.bias is not None, device="meta")
        self.weight, self.bias = plain.weight, plain.bias
        self.mode = mode
        self._frozen: tuple[Tensor, Tensor] | None = None
        self.train(plain.training)

    def quantised(self) -> tuple[Tensor, Tensor]:
        """Codes [O, I], int8, and scales [A, G] (see quantise), float32."""
        if self._frozen is not None:
            return self._frozen
        mode, latent_OI = self.mode, self.weight.detach()
        if mode.fit == "survivors":
            return survivors(latent_OI, mode.scale, mode.group, mode.threshold)
        size_AG = absmean(latent_OI, mode.scale, mode.group)
        return codes(latent_OI, per_weight(size_AG, self.in_features), mode.threshold), size_AG

    def codes(self) -> Tensor:
        return self.quantised()[0]

    def scales(self) -> Tensor:
        return self.quantised()[1]

    def forward(self, input: Tensor) -> Tensor:
        x = rms(input) if self.mode.norm else input
        strength = self.mode.strength
        if strength == 0:
            return F.linear(x, self.weight, self.bias)
        code_OI, s = self.quantised()
        s = per_weight(s, self.in_features)
        code_x, scale_x = absmax_int8(x.detach())
        if strength < 1:
            w_OI = straight_through(self.weight, self.weight.detach().lerp((code_OI * s).to(self.weight), strength))
            x = straight_through(x, x.detach().lerp((code_x * scale_x).to(x), strength))
            return F.linear(x, w_OI, self.bias)
        wide = torch.promote_types(x.dtype, torch.float32)  # exact for sums of codes below 2**24: 132,104 inputs
        x = straight_through(x, code_x.to(wide), scale_x)
        if self.mode.scale == "group":
            y = F.linear(x, straight_through(self.weight, (code_OI * s).to(wide)))
        else:
            y = F.linear(x, straight_through(self.weight, code_OI.to(wide), s)) * s[:, 0]
        return finished(y, scale_x, self.bias).to(input.dtype)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {self.mode}"


def rms(x: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:])


def finished(y: Tensor, scale_x: Tensor, bias: Tensor | None) -> Tensor:
    """What follows the weights' scales, in this order here and in every kernel: so floats agree to the bit too."""
    y = y * scale_x
    return y if bias is None else y + bias


def ternary_layers(model: nn.Module) -> dict[str, BitLinear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, BitLinear)}


def set_strength(model: nn.Module, strength: float) -> None:
    """For warm-up: of all layers at once."""
    for layer in ternary_layers(model).values():
        layer.mode = replace(layer.mode, strength=strength)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Codes and scales are found once, not at every token. No weight and no mode may change meanwhile."""
    layers = ternary_layers(model).values()
    try:
        for layer in layers:
            layer._frozen = layer.quantised()
        yield
    finally:
        for layer in layers:
            layer._frozen = None


def _out(field: str, message: str) -> InvalidInput:
    return InvalidInput(message, reason="OUT_OF_RANGE", field=field)
