"""Payloads to tensors: one file for each codec. Of Python 3.8, with numpy alone."""

from __future__ import annotations

from typing import Callable

import numpy as np

from ..payload import Broken, Payload
from .floats import decode_float
from .grid import decode_grid
from .hyper import decode_hyper
from .seedlm import decode_seedlm
from .ternary import decode_ternary
from .vptq import decode_vptq

DECODERS: dict[str, Callable[[Payload], np.ndarray]] = {
    "float": decode_float,
    "grid": decode_grid,
    "ternary": decode_ternary,
    "seedlm": decode_seedlm,
    "vptq": decode_vptq,
    "hyper": decode_hyper,
}


def decode(payload: Payload) -> np.ndarray:
    """float32 of the payload's shape; a buffer of whole numbers, which is of codec float, in its own type."""
    decoder = DECODERS.get(payload.codec)
    if decoder is None:
        raise Broken(f"no codec {payload.codec!r} is known")
    return decoder(payload)
