"""Symbols and tables of numbers, checked before a decoder uses them. Of Python 3.8, with numpy alone."""

from __future__ import annotations

import numpy as np

from ..payload import Broken, Payload
from .checks import levels, stream


def symbols(payload: Payload, name: str, shape: tuple[int, ...], count: int) -> np.ndarray:
    """Whole numbers from 0 to count - 1, really: of a count that is no power of two, bits hold more."""
    values = stream(payload, name, shape, "u1 u2")
    levels(payload, name, count)
    if values.size and int(values.max()) >= count:
        raise Broken(f"stream {name} has the symbol {int(values.max())}, and {count} levels")
    return values


def table(payload: Payload, name: str, shape: tuple[int, ...], kinds: str = "f2") -> np.ndarray:
    """Finite numbers, as float32."""
    values = stream(payload, name, shape, kinds)
    if not np.isfinite(values).all():
        raise Broken(f"stream {name} has numbers that are not finite")
    return values.astype(np.float32)
