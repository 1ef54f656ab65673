"""Numbers as they are: float32, float16, or the type of a buffer that is no float32."""

from __future__ import annotations

import numpy as np

from ..payload import Payload
from .checks import only, stream

KINDS = "f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1"


def decode_float(payload: Payload) -> np.ndarray:
    only(payload, "values")
    values = stream(payload, "values", payload.shape, KINDS)
    return values.astype(np.float32) if values.dtype.str[1:] in ("f2", "f4") else values
