"""Embeddings in 8 or 4 bits: round to nearest in spans of a row, symmetric around zero.

Shapes: V rows, D columns, S spans in a row.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SPAN = 64  # columns that share a scale; the last span of a row may be shorter


def quantise_table(w_VD: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """uint8 codes, [V, D] in 8 bits or [ceil(V * D / 2)] in 4 (the first code low), and scales float16 [V, S]."""
    top = 2 ** (bits - 1) - 1
    w_VSN = F.pad(w_VD.float(), (0, -w_VD.shape[1] % SPAN)).view(len(w_VD), -1, SPAN)
    size_VS = w_VSN.abs().amax(-1)
    scale_VS = torch.where(size_VS == 0, 1, (size_VS / top).clamp_min(2.0**-24)).half()
    code_VSN = (w_VSN / scale_VS.float()[..., None]).round().clamp(-top, top) + top
    code_VD = code_VSN.flatten(1)[:, : w_VD.shape[1]].to(torch.uint8)
    return (code_VD if bits == 8 else _pairs(code_VD.flatten())), scale_VS


def table(code: Tensor, scale_VS: Tensor, shape: tuple[int, int], bits: int) -> Tensor:
    """float32 [V, D]."""
    if bits == 4:
        code = torch.stack((code & 15, code >> 4), 1).flatten()[: shape[0] * shape[1]].view(shape)
    s_VD = scale_VS.float().repeat_interleave(SPAN, 1)[:, : shape[1]]
    w_VD: Tensor = (code.float() - (2 ** (bits - 1) - 1)) * s_VD
    return w_VD


def _pairs(code_N: Tensor) -> Tensor:
    low, high = F.pad(code_N, (0, len(code_N) % 2)).view(-1, 2).unbind(1)
    return low | high << 4
