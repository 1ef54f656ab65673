"""Ternary layers in a graph: integer codes of weights and activations, as models/ternary computes them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.edge.graph.functional import rms
from agentforge.models.ternary.linear import BitLinear
from agentforge.models.ternary.packed_linear import PackedLinear
from agentforge.models.ternary.quantise import per_weight

_LEAST = torch.finfo(torch.float32).tiny


class CodeLinear(nn.Module):
    """The same sums of integers; every operator is in opset 17."""

    weight: Tensor  # (O, I): codes, or codes times scales where these differ within a row
    scale: Tensor | None  # (1,) or (O,)

    def __init__(self, layer: BitLinear | PackedLinear) -> None:
        super().__init__()
        code_OI, scale_AG = layer.codes(), layer.scales()
        self.norm, self.grouped = layer.mode.norm, layer.mode.scale == "group"
        wide_OI = code_OI.float() * per_weight(scale_AG, layer.in_features) if self.grouped else code_OI.float()
        self.register_buffer("weight", wide_OI)
        self.register_buffer("scale", None if self.grouped else scale_AG[:, 0].float())
        self.bias = layer.bias

    def forward(self, input: Tensor) -> Tensor:
        x = rms(input, torch.finfo(torch.float32).eps) if self.norm else input
        scale_x = (x.abs().amax(-1, keepdim=True) / 127.0).clamp_min(_LEAST)
        code_x = (x / scale_x).round().clamp(-127, 127)
        y = F.linear(code_x, self.weight)
        y = y * scale_x if self.scale is None else y * self.scale * scale_x
        return y if self.bias is None else y + self.bias


def with_codes(model: nn.Module) -> nn.Module:
    """Its ternary layers, packed ones too, replaced in place; their names stay."""
    layers = {name: each for name, each in model.named_modules() if isinstance(each, BitLinear | PackedLinear)}
    for name, layer in layers.items():
        model.set_submodule(name, CodeLinear(layer))
    return model
