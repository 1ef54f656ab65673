"""The integer product of ternary weights and int8 activations, and the linear layer around it.

Shapes: M tokens, N outputs, K inputs, G groups of inputs that share a scale.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.kernels import layout
from agentforge.models.ternary.kernels.library import VARIABLE, Kernel, choose
from agentforge.models.ternary.kernels.tiles import Prepared, codes, prepare
from agentforge.models.ternary.linear import BitLinear, Mode, finished, rms
from agentforge.models.ternary.packed_linear import PackedLinear
from agentforge.models.ternary.quantise import absmax_int8, per_weight

_log = logging.getLogger(__name__)
MOST_COLUMNS = 132_104  # plain torch sums in float32, exact below 2**24; the kernels' int32 holds more


def ternary_matmul(x_MK: Tensor, weight: Prepared) -> Tensor:
    """int32 [M, N], exact, of int8 activations in [-128, 127]; the same for every kernel and number of threads."""
    if x_MK.dtype != torch.int8 or x_MK.dim() != 2 or x_MK.shape[1] != weight.columns:
        message = f"activations are {x_MK.dtype} {list(x_MK.shape)}, not int8 of {weight.columns} columns"
        raise InvalidInput(message, reason="SHAPE_MISFIT", field="activations")
    if weight.columns > MOST_COLUMNS:
        message = f"{weight.columns} inputs; sums are exact up to {MOST_COLUMNS}"
        raise InvalidInput(message, reason="TOO_WIDE", field="weight")
    kernel = choose()
    if kernel is None:
        return F.linear(x_MK.float(), codes(weight).float()).to(torch.int32)
    x_MK, out_MN = x_MK.contiguous(), torch.empty(len(x_MK), weight.rows, dtype=torch.int32)
    pointers = x_MK.data_ptr(), len(x_MK), out_MN.data_ptr()
    described = ctypes.byref(describe(weight))
    kernel.library.ternary_matmul(kernel.variant, described, *pointers, torch.get_num_threads())
    return out_MN


def describe(weight: Prepared, group: int = 0) -> layout.Linear:
    """The tensors that it points to must outlive it."""
    described = layout.Linear(ternary=1, rows=weight.rows, columns=weight.columns)
    described.group = group or weight.columns + -weight.columns % 16
    described.weight = weight.tiles.data_ptr()
    return described


class KernelLinear(nn.Module):
    """A BitLinear for inference: codes at 2 bits, one call from floats to floats.

    Without an RMS norm it equals the BitLinear to the bit, groups apart, whose floats are summed in another order.
    """

    def __init__(self, layer: BitLinear | PackedLinear) -> None:
        super().__init__()
        mode = layer.mode
        _check(mode, 16)
        self.in_features, self.out_features, self.mode = layer.in_features, layer.out_features, mode
        self.prepared = prepare(layer.codes())
        self.scale_GN = _rows(layer.scales().t().expand(-1, layer.out_features))
        self.bias = None if layer.bias is None else _rows(layer.bias.detach()[None])[0]
        self.described = describe(self.prepared, mode.group)
        self.described.scale, self.described.norm = self.scale_GN.data_ptr(), mode.norm
        self.described.bias = None if self.bias is None else self.bias.data_ptr()

    def forward(self, input: Tensor) -> Tensor:
        kernel = choose()
        x_MK = input.reshape(-1, self.in_features).float().contiguous()
        y_MN = self._plain(x_MK) if kernel is None else self._called(kernel, x_MK)
        return y_MN.view(*input.shape[:-1], self.out_features).to(input.dtype)

    def _called(self, kernel: Kernel, x_MK: Tensor) -> Tensor:
        y_MN = torch.empty(len(x_MK), self.out_features)
        pointers = x_MK.data_ptr(), len(x_MK), y_MN.data_ptr()
        kernel.library.linear(kernel.variant, ctypes.byref(self.described), *pointers, torch.get_num_threads())
        return y_MN

    def _plain(self, x_MK: Tensor) -> Tensor:
        code_MK, scale_M1 = absmax_int8(rms(x_MK) if self.mode.norm else x_MK)
        scale_NG = self.scale_GN[:, : self.out_features].t()
        if self.mode.group:
            w_NK = codes(self.prepared) * per_weight(scale_NG, self.in_features)
            y_MN = F.linear(code_MK.float(), w_NK)
        else:
            y_MN = ternary_matmul(code_MK, self.prepared) * scale_NG[:, 0]
        return finished(y_MN, scale_M1, None if self.bias is None else self.bias[: self.out_features])


def _rows(x_GN: Tensor) -> Tensor:
    """float32 rows padded with zeros to a multiple of 16."""
    return F.pad(x_GN.float(), (0, -x_GN.shape[1] % 16)).contiguous()


def _check(mode: Mode, least: int) -> None:
    if mode.group % least or mode.strength != 1:
        message = f"kernels compute at strength 1 with groups of multiples of {least}, not {mode}"
        raise InvalidInput(message, reason="NO_KERNEL", field="mode", next_step="Take a scale by channel.")


def use_kernels(model: nn.Module) -> list[str]:
    """Every ternary layer computes by a kernel of the device that it is on from here on. It can no longer learn."""
    found = {n: m for n, m in model.named_modules() if isinstance(m, BitLinear | PackedLinear)}
    for name, layer in found.items():
        model.set_submodule(name, _fast(layer))
    return list(found)


def _fast(layer: BitLinear | PackedLinear) -> nn.Module:
    device = next(chain(layer.parameters(), layer.buffers())).device
    if device.type != "cuda":
        return KernelLinear(layer)
    _check(layer.mode, 32)
    kind = on_gpu(torch.cuda.get_device_capability(device), os.environ.get(VARIABLE, ""))
    return kind(layer.codes(), layer.scales(), layer.bias, layer.mode)


@functools.cache
def on_gpu(capability: tuple[int, int], wanted: str = "") -> type[PackedLinear]:
    """The layer for such a GPU: by Triton, or in plain torch, which is said once."""
    if wanted == "torch":
        return PackedLinear
    try:
        from agentforge.models.ternary.kernels.triton_product import LEAST_CAPABILITY, TritonLinear
    except ImportError as error:
        return _plain_on_gpu(str(error))
    if capability < LEAST_CAPABILITY:
        return _plain_on_gpu(f"int8 in Triton takes compute capability {LEAST_CAPABILITY}, not {capability}")
    return TritonLinear


def _plain_on_gpu(reason: str) -> type[PackedLinear]:
    _log.warning("Ternary layers on this GPU unpack their weights at every call, in plain torch: %s", reason)
    return PackedLinear
