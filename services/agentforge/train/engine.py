"""What computes a ternary model on a CPU: the runner of whole models, kernels for its layers, or plain torch."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.kernels import KernelLinear, chosen
from agentforge.models.ternary.kernels.decode import Decoder
from agentforge.models.ternary.kernels.library import VARIABLE
from agentforge.models.ternary.linear import BitLinear
from agentforge.models.ternary.packed_linear import PackedLinear

TORCH = "torch"
_SHORTEST = 512  # tokens: a runner for fewer would save little
_log = logging.getLogger(__name__)


def use_kernels(model: Any) -> str | None:
    """Its ternary layers compute by kernel from here on: "kernel/avx512". "torch": they do as they did.

    None: it has no such layers. The same to the bit, but for the sums of floats in groups and in an RMS norm.
    """
    layers = {n: m for n, m in model.named_modules() if isinstance(m, BitLinear | PackedLinear | KernelLinear)}
    if not layers:
        return None
    if model.device.type != "cpu":
        return TORCH
    kernel = chosen()
    if kernel == TORCH:
        if os.environ.get(VARIABLE) == TORCH:  # why else, the kernels' library has said
            _log.warning("Ternary layers compute in plain torch, as %s says.", VARIABLE)
        return TORCH
    try:
        made = {n: KernelLinear(m) for n, m in layers.items() if not isinstance(m, KernelLinear)}
    except InvalidInput as error:
        _log.warning("Ternary layers compute in plain torch: %s", error)
        return TORCH
    for name, layer in made.items():
        model.set_submodule(name, layer)
    return f"kernel/{kernel}"


class Runner:
    """Answers token by token in C++. `name`: "decoder/avx512"."""

    def __init__(self, model: Any, decoder: Decoder) -> None:
        self.name = f"decoder/{chosen()}"
        self._model, self._decoder, self._context = model, decoder, _SHORTEST

    def answer(self, ids: list[int], room: int, temperature: float, dice: torch.Generator) -> Iterator[int]:
        """Up to `room` tokens after these, as `generate` draws them."""
        decoder = self._with_room(len(ids) + room)
        decoder.reset()
        for _ in range(room):
            logits_V = decoder.step(ids)
            ids = [_drawn(logits_V, temperature, dice) if temperature else int(logits_V.argmax())]
            yield ids[0]

    def _with_room(self, tokens: int) -> Decoder:
        if tokens > self._context:
            self._context = 1 << (tokens - 1).bit_length()
            self._decoder = Decoder(self._model, self._context)
        return self._decoder


def runner(model: Any) -> Runner | None:
    """Of a model whose layers compute by kernel. None: it is of another kind."""
    try:
        return Runner(model, Decoder(model, _SHORTEST))
    except InvalidInput as error:
        if error.reason != "NO_RUNNER":
            raise
        return None


def parameters(model: Any) -> int:
    """Numbers that the model computes with, those in a few bits too."""
    count: int = sum(parameter.numel() for parameter in model.parameters())
    for module in model.modules():
        if isinstance(module, PackedLinear | KernelLinear):
            count += module.in_features * module.out_features
        if isinstance(module, KernelLinear) and module.bias is not None:
            count += module.out_features
    return count


def _drawn(logits_V: Tensor, temperature: float, dice: torch.Generator) -> int:
    drawn: int = torch.multinomial((logits_V / temperature).softmax(-1), 1, generator=dice).tolist()[0]
    return drawn
