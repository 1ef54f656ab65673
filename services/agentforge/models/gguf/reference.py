"""A model as llama.cpp computes it on a CPU, in torch: weights of the file's types, inputs rounded as it does.

Our own ternary layers have one scale for all inputs of a token; llama.cpp has one for each block of them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.models.gguf.fits import TERNARY
from agentforge.models.gguf.tensors import Weight, rounded

Rounding = Callable[[Tensor], Tensor]


def q8_k(x: Tensor) -> Tensor:
    """What goes into products with ternary types: 8 bits, a scale for each 256, of the sign of the largest."""
    blocks = x.view(*x.shape[:-1], -1, 256)
    largest = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    inverse = torch.where(largest == 0, 1, -127 / largest)
    codes = (inverse * blocks).round().clamp_max(127)
    return (codes * (1 / inverse)).view(x.shape)


def q8_0(x: Tensor) -> Tensor:
    """With Q8_0: 8 bits, a scale of 16 bits for each 32."""
    blocks = x.view(*x.shape[:-1], -1, 32)
    largest = blocks.abs().amax(-1, keepdim=True)
    inverse = torch.where(largest == 0, 1, 127 / largest)
    return ((blocks * inverse).round() * (largest / 127).half().to(x)).view(x.shape)


def as_they_are(x: Tensor) -> Tensor:
    return x


ROUNDING: Mapping[str, Rounding] = {
    "F32": as_they_are,
    "F16": lambda x: x.half().to(x),
    "Q8_0": q8_0,
    **dict.fromkeys(TERNARY, q8_k),
}
"""Of the inputs of a product, by the type of its weights."""


class Product(nn.Module):
    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None, rounding: Rounding) -> None:
        super().__init__()
        self.rounding = rounding
        self.weight: Tensor
        self.bias: Tensor | None
        self.register_buffer("weight", weight_OI)
        self.register_buffer("bias", bias_O)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.rounding(x.contiguous()), self.weight, self.bias)


@torch.no_grad()
def as_computed(model: Any, weights: Iterable[Weight], rounding: Mapping[str, Rounding] = ROUNDING) -> Any:
    """A model of its own. `weights`: those of `model`, of the types that they have in the file.

    In float64: llama.cpp sums codes exactly, and where a sum is off in its last bits, later inputs round otherwise.
    """
    found = {each.name: each for each in weights}
    own = copy.deepcopy(model).eval()
    tied = own.get_input_embeddings().weight is own.get_output_embeddings().weight
    embedding = next(name for name, each in own.named_modules() if each is own.get_input_embeddings())
    head = next(name for name, each in own.named_modules() if each is own.get_output_embeddings())
    table = found.pop(f"{embedding}.weight")
    own.get_input_embeddings().weight = nn.Parameter(rounded(table))
    if tied:
        found[f"{head}.weight"] = table
    for name, weight in found.items():
        layer, _, own_name = name.rpartition(".")
        if own_name == "weight" and weight.value.ndim == 2:
            bias = getattr(own.get_submodule(layer), "bias", None)
            own.set_submodule(layer, Product(rounded(weight), bias, rounding[weight.kind]))
    return own.double()
