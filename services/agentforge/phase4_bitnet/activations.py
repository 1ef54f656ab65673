"""What passes a model's layers on the calibration items: statistics of all of it, and a part to try weights on.

Shapes: N tokens, I inputs of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.kit.errors import FailedPrecondition
from agentforge.models.ternary.quantise import absmax_int8

TOKENS = 1024  # kept of each layer, evenly of all; a model that goes through a layer r times gives r times as many


class Seen:
    """Of one layer. The largest value fits into 8 bits by absmax, so nothing is cut off; small ones become 0."""

    def __init__(self, name: str, stride: int) -> None:
        self.name, self.stride = name, stride
        self.tokens, self.values, self.absmax, self._squares, self._lost = 0, 0, 0.0, 0.0, 0
        self._kept: list[Tensor] = []

    def hear(self, _layer: nn.Module, args: tuple[Any, ...]) -> None:
        """A forward pre-hook."""
        x_NI = args[0].detach().reshape(-1, args[0].shape[-1]).float()
        if not bool(x_NI.isfinite().all()):
            message = f"what comes into {self.name} is not finite on the calibration items"
            step = "Mend the model: its weights are finite, but too large for its activations."
            raise FailedPrecondition(message, reason="ACTIVATIONS_NOT_FINITE", field=self.name, next_step=step)
        offset = -self.tokens % self.stride
        self._kept.append(x_NI[offset :: self.stride].clone())
        self.tokens += len(x_NI)
        self.values += x_NI.numel()
        self.absmax = max(self.absmax, float(x_NI.abs().max()))
        self._squares += float(x_NI.double().square().sum())
        self._lost += int(((absmax_int8(x_NI)[0] == 0) & (x_NI != 0)).sum())

    @property
    def rms(self) -> float:
        return math.sqrt(self._squares / self.values)

    @property
    def lost(self) -> float:
        """Share of the values that become 0 in 8 bits."""
        return self._lost / self.values

    @property
    def x_NI(self) -> Tensor:
        return torch.cat(self._kept)


@torch.no_grad()
def activations(model: Any, codec: Codec, items: Sequence[Item], names: Sequence[str], batch: int) -> list[Seen]:
    """One for each name. Rows of one length at a time, so that no padding is among it."""
    rows = [codec.item_ids(item)[0] for item in items]
    stride = max(1, sum(map(len, rows)) // TOKENS)
    seen = [Seen(name, stride) for name in names]
    hooks = [model.get_submodule(each.name).register_forward_pre_hook(each.hear) for each in seen]
    try:
        for some in _same_length(rows, batch):
            model(input_ids=torch.tensor(some, device=model.device), use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _same_length(rows: list[list[int]], batch: int) -> Iterator[list[list[int]]]:
    for length in sorted({len(row) for row in rows}):
        alike = [row for row in rows if len(row) == length]
        for start in range(0, len(alike), batch):
            yield alike[start : start + batch]
