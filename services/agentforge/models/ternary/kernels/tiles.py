"""Matrices in the order in which the kernels read them: blocks of 16 rows, chunks of a few columns.

Shapes: N rows (outputs), K columns (inputs), B blocks of 16 rows, C chunks of columns, G groups of columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from agentforge.kit.errors import InvalidInput

ROWS = 16  # of a block; also what rows of floats are padded to


@dataclass(frozen=True)
class Prepared:
    """Ternary codes at 2 bits. A byte has code + 1 of 4 neighbouring columns of one row, the first lowest."""

    tiles: Tensor  # uint8 (B, C of 16 columns, 16 rows, 4)
    rows: int
    columns: int


def prepare(code_NK: Tensor) -> Prepared:
    """Of int8 codes -1, 0, 1. Rows and columns are padded with zeros to multiples of 16."""
    if code_NK.dim() != 2 or not code_NK.numel() or int(code_NK.abs().max()) > 1:
        message = f"codes {list(code_NK.shape)} are no matrix of -1, 0 and 1"
        raise InvalidInput(message, reason="NOT_TERNARY", field="codes")
    rows, columns = code_NK.shape
    value_NK = (padded(code_NK, 16) + 1).to(torch.uint8)
    value_NK4 = value_NK.view(len(value_NK), -1, 4)
    byte_NK = (value_NK4 << torch.tensor([0, 2, 4, 6], dtype=torch.uint8)).sum(-1, dtype=torch.uint8)
    return Prepared(blocks(byte_NK), rows, columns)


def codes(prepared: Prepared) -> Tensor:
    """Back to int8 (N, K)."""
    byte_NK = prepared.tiles.transpose(1, 2).flatten(0, 1).flatten(1)
    value_NK4 = byte_NK[..., None] >> torch.tensor([0, 2, 4, 6], dtype=torch.uint8) & 3
    return value_NK4.flatten(1)[: prepared.rows, : prepared.columns].to(torch.int8) - 1


def blocks(byte_NK: Tensor) -> Tensor:
    """(B, C of 4 bytes, 16 rows, 4 bytes), of rows and columns that are padded already."""
    return byte_NK.view(-1, ROWS, byte_NK.shape[1] // 4, 4).transpose(1, 2).contiguous()


def byte_tiles(code_NK: Tensor) -> Tensor:
    """int8 (B, C of 4 columns, 16 rows, 4) of a packed 8-bit table, around zero."""
    return blocks(padded((code_NK.to(torch.int16) - 127).to(torch.int8), 16))


def nibble_tiles(pairs: Tensor, rows: int, columns: int) -> Tensor:
    """uint8 (B, C of 8 columns, 16 rows, 4) of a packed 4-bit table: a byte has column b low and b + 4 high."""
    code_NK = torch.stack((pairs & 15, pairs >> 4), 1).flatten()[: rows * columns].view(rows, columns)
    code_NK = padded(code_NK, 16)
    low_NCb, high_NCb = code_NK.view(len(code_NK), -1, 2, 4).unbind(2)
    return blocks((low_NCb | high_NCb << 4).flatten(1))


def padded(x: Tensor, columns: int) -> Tensor:
    """Zeros to multiples: the last dimension of `columns`, the one before of 16."""
    return F.pad(x, (0, -x.shape[-1] % columns, 0, -x.shape[-2] % ROWS))
