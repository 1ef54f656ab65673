"""Ternary codes in bytes: four to a byte (2 bits each) or five (1.6 bits). Exact both ways for any shape."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pack_2bit(code_OI: Tensor) -> Tensor:
    """uint8 [R, I], R = ceil(O / 4). Bits 2k and 2k+1 of byte [r, i] hold code [r + k*R, i] plus one.

    The four codes of a byte meet the same input, so a kernel reads an activation once for four outputs. The bytes
    are those of transformers' BitNet (`pack_weights`). Rows that are not there are 0.
    """
    value_4RI = _striped(code_OI, 4)
    return _summed(value_4RI, torch.tensor([1, 4, 16, 64]))


def unpack_2bit(packed_RI: Tensor, rows: int) -> Tensor:
    shift_4 = torch.arange(0, 8, 2, dtype=torch.uint8, device=packed_RI.device)
    value_4RI = (packed_RI[None] >> shift_4[:, None, None]) & 3
    return value_4RI.flatten(0, 1)[:rows].to(torch.int8) - 1


def pack_base3(code: Tensor) -> Tensor:
    """uint8 [R], R = ceil(n / 5), of n codes row by row. Byte r sums 3**k * (code [r + k*R] + 1) over k."""
    return _summed(_striped(code.flatten(), 5), torch.tensor([1, 3, 9, 27, 81]))


def unpack_base3(packed_R: Tensor, shape: tuple[int, ...] | torch.Size) -> Tensor:
    digits = torch.tensor([1, 3, 9, 27, 81], dtype=torch.uint8, device=packed_R.device)
    value_5R = packed_R[None] // digits[:, None] % 3
    count = int(torch.Size(shape).numel())
    return (value_5R.flatten()[:count].to(torch.int8) - 1).view(shape)


def _striped(code: Tensor, count: int) -> Tensor:
    """Codes plus one in `count` stripes [count, R, ...]; zeros behind the last."""
    rows = -(-len(code) // count)
    missing = rows * count - len(code)
    value = F.pad((code + 1).to(torch.uint8), (0, 0) * (code.dim() - 1) + (0, missing))
    return value.view(count, rows, *code.shape[1:])


def _summed(value: Tensor, weight: Tensor) -> Tensor:
    weight = weight.to(value).view(-1, *(1,) * (value.dim() - 1))
    return (value * weight).sum(0, dtype=torch.uint8)
