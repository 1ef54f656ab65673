"""Noise drawn once and read at a random place: a frame needs a hundred thousand numbers in microseconds."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from agentforge.kit.rng import Rng

SPARE = 61  # rows and columns by which a window may start later
LINE = 1 << 16


@cache
def _plane(height: int, width: int) -> NDArray[np.float32]:
    bank = Rng(0, "adas/drive/sensors/plane", height, width).numpy()
    made: NDArray[np.float32] = bank.standard_normal((height + SPARE, width + SPARE), dtype=np.float32)
    return made


@cache
def _line() -> NDArray[np.float64]:
    return Rng(0, "adas/drive/sensors/line").numpy().standard_normal(2 * LINE)


def plane(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Standard normal numbers; two windows share most of theirs, at other places. Do not write into it."""
    row, column = rng.integers(0, SPARE, 2)
    return _plane(height, width)[row : row + height, column : column + width]


def line(many: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Standard normal numbers, of a bank of 2**17. Do not write into it."""
    if many > LINE:
        raise ValueError(f"{many} numbers of noise; the bank gives {LINE} at once")
    start = int(rng.integers(0, LINE))
    return _line()[start : start + many]
