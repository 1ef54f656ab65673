"""What a codec makes of one tensor, and what a decoder needs to give it back. Of Python 3.8, with numpy alone.

Decoders multiply and add single float32 numbers in a fixed order, so they give the same bytes on every machine.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Broken(ValueError):
    """A file or payload is not what was written. Its text says where."""


class Stream(NamedTuple):
    """`levels`: the values are whole numbers from 0 to levels - 1, and may be packed or entropy-coded; 0: any
    numbers, stored as they are (little-endian)."""

    values: np.ndarray
    levels: int = 0


class Payload(NamedTuple):
    """`settings`: what else a decoder must know, as JSON has it. The decoded tensor is float32 of this shape."""

    codec: str
    shape: tuple[int, ...]
    settings: dict[str, Any]
    streams: dict[str, Stream]
