"""A model's parts as the structures that the C++ runner reads, and the tensors that these point to."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn

from agentforge.models.ternary.kernels import layout
from agentforge.models.ternary.kernels.product import KernelLinear
from agentforge.models.ternary.kernels.tiles import byte_tiles, nibble_tiles
from agentforge.models.ternary.linear import BitLinear
from agentforge.models.ternary.packed_linear import PackedLinear
from agentforge.models.ternary.tables import SPAN, quantise_table, table


class Parts:
    """Keeps what the structures point to."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def floats(self, x: Tensor | None) -> int | None:
        """A copy, its rows padded with zeros to multiples of 16."""
        if x is None:
            return None
        wide = x.detach().float()
        wide = torch.nn.functional.pad(wide, (0, -wide.shape[-1] % 16))
        return self._keep(wide.contiguous().clone())

    def exact(self, x: Tensor) -> int:
        return self._keep(x.detach().float().contiguous().clone())

    def linear(self, layer: nn.Module) -> layout.Linear:
        if isinstance(layer, BitLinear | PackedLinear):
            layer = KernelLinear(layer)
        self.kept.append(layer)
        if isinstance(layer, KernelLinear):
            return layer.described
        assert isinstance(layer, nn.Linear)
        columns = layer.in_features
        plain = layout.Linear(rows=layer.out_features, columns=columns, group=16 * -(-columns // 16))
        plain.stride, plain.weight = plain.group, self.floats(layer.weight)
        plain.bias = self.floats(layer.bias)
        return plain

    def table(self, w_VD: Tensor) -> layout.Table:
        """In the bits of a packed file, 4 or 8, where they hold its values exactly; else in 32."""
        w_VD = w_VD.detach().float()
        shape = (w_VD.shape[0], w_VD.shape[1])
        made = layout.Table(rows=shape[0], columns=shape[1], span=SPAN)
        for bits in (4, 8):
            code, scale_VS = quantise_table(w_VD, bits)
            if torch.equal(table(code, scale_VS, shape, bits), w_VD):
                tiles = nibble_tiles(code, *shape) if bits == 4 else byte_tiles(code)
                made.bits, made.tiles, made.scale = bits, self._keep(tiles), self.floats(scale_VS.t())
                return made
        made.bits, made.tiles = 32, self.floats(w_VD)
        return made

    def array(self, structures: list[Any]) -> int:
        array = (type(structures[0]) * len(structures))(*structures)
        self.kept.append(array)
        return ctypes.addressof(array)

    def _keep(self, x: Tensor) -> int:
        self.kept.append(x)
        return x.data_ptr()
