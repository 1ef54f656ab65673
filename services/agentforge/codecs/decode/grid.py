"""Weights on a grid of equal steps: weight = (code - zero) * scale, by groups of neighbours in a row.

codes    [R, C] of 2**bits levels: a row of the tensor in a row, all axes but the last taken together
scales   [R, G] float16; or 256 levels, whose number less 128 is multiplied by
units    [R, 1] or [1, 1] float16
zeros    [R, G] of 256 levels, in steps of 2**bits / 256; without it the zero is 2**(bits - 1). A scale may then
         be below 0: so one more level serves the side that needs it
"""

from __future__ import annotations

import numpy as np

from ..payload import Broken, Payload
from .checks import levels, matrix, only, stream, whole


def decode_grid(payload: Payload) -> np.ndarray:
    bits, group = whole(payload, "bits", 2, 8), whole(payload, "group", 1, 1 << 31)
    only(payload, "codes", "scales", "units", "zeros")
    rows, columns = matrix(payload)
    shape_RG = (rows, -(-columns // group))
    code_RC = stream(payload, "codes", (rows, columns), "u1")
    levels(payload, "codes", 1 << bits)
    scale_RG = _scales(payload, shape_RG)
    found = code_RC.astype(np.float32)
    if "zeros" in payload.streams:
        found -= _wide(zeros(stream(payload, "zeros", shape_RG, "u1"), bits), group, columns)
    else:
        found -= np.float32(1 << (bits - 1))
    found *= _wide(scale_RG, group, columns)
    return found.reshape(payload.shape)


def zeros(zero_RG: np.ndarray, bits: int) -> np.ndarray:
    """float32, exact."""
    return zero_RG.astype(np.float32) * np.float32(2.0 ** (bits - 8))


def scales(scale_RG: np.ndarray, unit_R1: np.ndarray) -> np.ndarray:
    """float32, of scales in 8 bits."""
    return (scale_RG.astype(np.float32) - np.float32(128)) * unit_R1.astype(np.float32)


def _scales(payload: Payload, shape_RG: tuple[int, int]) -> np.ndarray:
    if "units" not in payload.streams:
        return stream(payload, "scales", shape_RG, "f2").astype(np.float32)
    unit = payload.streams["units"].values
    if unit.dtype.str[1:] != "f2" or unit.shape not in ((shape_RG[0], 1), (1, 1)):
        raise Broken(f"stream units is {unit.dtype} {unit.shape}")
    return scales(stream(payload, "scales", shape_RG, "u1"), unit)


def _wide(value_RG: np.ndarray, group: int, columns: int) -> np.ndarray:
    """[R, C]; the last group may be shorter."""
    return np.repeat(value_RG, min(group, columns), axis=1)[:, :columns] if columns else value_RG[:, :0]
