"""Codes and scales of a weight [N, K]: 4 bits in blocks of inputs that share a scale, 8 bits in whole rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agentforge.edge.quantise.products import Floats

Bytes = npt.NDArray[np.uint8]
Codes = Bytes | npt.NDArray[np.int8]

ZERO = 8  # the 4-bit code of 0, as MatMulNBits has it; codes 0…15 stand for -8…7
MIDDLE = 128  # the 8-bit code of 0
# The largest value of a block lands on -8 when divided by -largest / 8. Gaussian blocks of 32 lose 0.081 of their
# norm at the best of these (0.097 at absmax / 7; 0.086 at 8 alone). Those below 5 are for weights that were rounded
# to 4 bits before, in wider blocks: a block of them need not hold the largest value, and comes out as it was.
STEPS = (1.0, 2.0, 3.0, 4.0, 5.0, 5.5, 6.0, 6.5, 7.0, 7.5, 8.0, 8.5, 9.0)
ROWS = 4096  # at once


def four_bits(w_NK: Floats, block: int) -> tuple[Bytes, Floats]:
    """Bytes [N, B, block / 2], the first of two values in the low half; scales [N, B]. K is padded with zeros."""
    rows, columns = w_NK.shape
    padded = np.pad(w_NK, ((0, 0), (0, -columns % block))).reshape(rows, -1, block)
    parts = [_best(padded[first : first + ROWS]) for first in range(0, rows, ROWS)]
    value_NBK, scale_NB = (np.concatenate(each) for each in zip(*parts, strict=True))
    code_NBK: Bytes = (value_NBK + ZERO).astype(np.uint8)
    pair_NBK: Bytes = code_NBK[..., 0::2] | code_NBK[..., 1::2] << np.uint8(4)
    return pair_NBK, scale_NB


def _best(w: Floats) -> tuple[Floats, Floats]:
    """Values -8…7 [..., K] and scales [...] of the least squared error; exact where a block is ternary."""
    largest = np.take_along_axis(w, np.abs(w).argmax(-1)[..., None], -1)
    ternary = ((w == 0) | (np.abs(w) == np.abs(largest))).all(-1, keepdims=True)
    value, scale = np.sign(w), np.abs(largest)
    error = np.where(ternary, np.float32(-1), np.float32(np.inf))
    for step in STEPS:
        tried = _refitted(w, largest / np.float32(-step))
        loss = np.square(_values(w, tried) * tried - w).sum(-1, keepdims=True)
        scale, error = np.where(loss < error, tried, scale), np.where(loss < error, loss, error)
    return np.where(ternary, value, _values(w, scale)), scale[..., 0]


def _values(w: Floats, scale: Floats) -> Floats:
    return np.clip(np.round(w / np.where(scale == 0, np.float32(1), scale)), -8, 7)


def _refitted(w: Floats, scale: Floats) -> Floats:
    """The scale of least squares for the values that this scale gives."""
    value = _values(w, scale)
    square = np.square(value).sum(-1, keepdims=True)
    product = (value * w).sum(-1, keepdims=True)
    return np.where(square > 0, product / np.where(square > 0, square, np.float32(1)), scale)


def eight_bits(w_NK: Floats) -> tuple[Bytes, Floats]:
    """Bytes [K, N] of values -127…127, plus 128; a scale for each of the N outputs."""
    largest_N = np.abs(w_NK).max(-1)
    scale_N = np.where(largest_N == 0, np.float32(1), largest_N / np.float32(127))
    value_NK = np.clip(np.round(w_NK / scale_N[:, None]), -127, 127)
    return np.ascontiguousarray((value_NK.T + MIDDLE).astype(np.uint8)), scale_N


def signs(w_NK: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Bytes [K, N] of -1, 0 and 1, whose scale is 1."""
    return np.ascontiguousarray(w_NK.T).astype(np.int8), np.ones(1, np.float32)
