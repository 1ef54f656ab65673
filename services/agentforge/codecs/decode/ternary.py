"""Ternary weights: weight = (code - 1) * scale.

codes    [O, I] of 3 levels
scales   [A, G] float16 or float32: a scale for the matrix, a row, or a group of a row
"""

from __future__ import annotations

import numpy as np

from ..payload import Broken, Payload
from .checks import levels, only, stream


def decode_ternary(payload: Payload) -> np.ndarray:
    code_OI, scale_AG = parts(payload)
    each = code_OI.shape[1] // scale_AG.shape[1]
    wide = np.repeat(scale_AG, each, axis=1)
    found: np.ndarray = code_OI.astype(np.float32) * wide
    return found


def parts(payload: Payload) -> tuple[np.ndarray, np.ndarray]:
    """int8 codes [O, I] of -1, 0, 1, and float32 scales [A, G]."""
    only(payload, "codes", "scales")
    if len(payload.shape) != 2 or not all(payload.shape):
        raise Broken(f"ternary codes are of a matrix, and not of shape {payload.shape}")
    value_OI = stream(payload, "codes", payload.shape, "u1")
    levels(payload, "codes", 3)
    rows, columns = payload.shape
    scale_AG = payload.streams["scales"].values if "scales" in payload.streams else np.empty(0)
    fits = scale_AG.ndim == 2 and scale_AG.shape[0] in (1, rows) and scale_AG.shape[1] > 0
    if not fits or scale_AG.dtype.str[1:] not in ("f2", "f4") or columns % scale_AG.shape[1]:
        raise Broken(f"stream scales does not fit a matrix of shape {payload.shape}")
    return value_OI.astype(np.int8) - np.int8(1), scale_AG.astype(np.float32)
