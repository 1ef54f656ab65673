"""Gram matrices of what comes into linear layers: which directions of its inputs a layer's error shows in.

For inputs x the squared output error of a changed weight is trace(dW · E[x xᵀ] · dWᵀ). So E[x xᵀ] is all that wanda
(its diagonal), SparseGPT and GPTQ need to know of the data.

Shapes: B rows, T tokens, N real tokens, I inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.kit.errors import FailedPrecondition, InvalidInput
from agentforge.models import TitanForCausalLM
from agentforge.models.ternary.linear import BitLinear, frozen, rms
from agentforge.train.evaluate import alike, padded

Grams = dict[str, npt.NDArray[np.float64]]


@torch.no_grad()
def grams(model: Any, codec: Codec, items: Sequence[Item], names: Sequence[str], *, batch: int) -> Grams:
    """By the name of a weight, [I, I]: the mean of x xᵀ over all real tokens of all items, in every pass.

    Padding does not count, nor do a Titan's persistent tokens, of which there are as many per call as per item.
    A ternary layer's inputs are taken before they are rounded to 8 bits.

    The name of embeddings that are also the head stands for the head: its inputs are the last hidden states. With
    that gram, GPTQ keeps the logits. It says nothing of the same rows as inputs of the first layer, where every
    direction counts: damping (see codecs.encode.gptq) is what trades one for the other. Embeddings that are no head
    have no gram: a row that is looked up is not multiplied with anything.
    """
    model.eval()
    ears = {name: _Ear(name, layer, model) for name, layer in _layers(model, names).items()}
    device = next(model.parameters()).device
    with frozen(model), ExitStack() as hooks:
        for ear in ears.values():
            hook = ear.layer.register_forward_pre_hook(ear.hear)
            hooks.callback(hook.remove)
        for ids, mask_BT in _rows(codec, items, batch, device):
            for ear in ears.values():
                ear.begin(mask_BT.bool())
            model(input_ids=ids, attention_mask=mask_BT)
    return {name: ear.mean() for name, ear in ears.items()}


def _rows(codec: Codec, items: Sequence[Item], batch: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    rows = [codec.item_ids(item)[0] for item in items]
    for places in alike([len(row) for row in rows], batch):
        yield padded([rows[place] for place in places], codec.pad, device)


def _layers(model: Any, names: Sequence[str]) -> dict[str, nn.Linear]:
    modules, found = dict(model.named_modules()), {}
    for name in names:
        layer = modules.get(name.removesuffix(".weight"))
        head = model.get_output_embeddings()
        if isinstance(layer, nn.Embedding) and head is not None and head.weight is layer.weight:
            layer = head
        if not isinstance(layer, nn.Linear):
            message = f"{name} multiplies no inputs in this {type(model).__name__}, so it has no gram"
            step = "Name linear layers, or embeddings that are also the head."
            raise InvalidInput(message, reason="NO_GRAM", field=name, next_step=step)
        found[name] = layer
    return found


class _Ear:
    """Adds up what one layer hears. A Titan's memory hears a row in pieces, one after the other."""

    def __init__(self, name: str, layer: nn.Linear, model: Any) -> None:
        self.name, self.layer = name, layer
        self.sum_II = torch.zeros(layer.in_features, layer.in_features, dtype=torch.float64)
        self.sum_II = self.sum_II.to(layer.weight.device)
        self.count = self.column = 0
        titan = isinstance(model, TitanForCausalLM) and model.persistent is not None
        self.has_persistent = titan and name.endswith(".attention.qkv.weight")

    def begin(self, real_BT: Tensor) -> None:
        self.real_BT, self.column, self.skip = real_BT, 0, self.has_persistent

    def hear(self, _: nn.Module, args: tuple[Any, ...]) -> None:
        if self.skip:  # persistent tokens come first
            self.skip = False
            return
        x_NI = self._real(args[0].detach())
        if isinstance(self.layer, BitLinear) and self.layer.mode.norm:
            x_NI = rms(x_NI)
        x_NI = x_NI.double()
        self.sum_II += x_NI.T @ x_NI
        self.count += len(x_NI)

    def _real(self, x: Tensor) -> Tensor:
        rows, columns = self.real_BT.shape
        if x.dim() == 2 and len(x) == rows * columns:
            return x[self.real_BT.flatten()]
        end = self.column + x.shape[1]
        if x.dim() != 3 or len(x) != rows or end > columns:
            message = f"{self.name} hears inputs of shape {tuple(x.shape)} where {rows} rows have {columns} tokens"
            step = "Leave it out: which of its inputs are padding is not known."
            raise InvalidInput(message, reason="NO_GRAM", field=self.name, next_step=step)
        real_NI = x[self.real_BT[:, self.column : end]]
        self.column = end % columns
        return real_NI

    def mean(self) -> npt.NDArray[np.float64]:
        if not self.count:
            message = f"{self.name} heard no token: there are no items, or the model does not call this layer"
            raise FailedPrecondition(message, reason="NO_GRAM", field=self.name, next_step="Leave it out.")
        mean_II: npt.NDArray[np.float64] = (self.sum_II / self.count).cpu().numpy()
        return mean_II
