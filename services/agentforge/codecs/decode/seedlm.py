"""SeedLM (arXiv 2410.10714): blocks of weights as seeds of a shift register, and what to multiply its numbers by.
Of Python 3.8, with numpy alone.

A block of C weights is U t: U [C, P] holds the C * P states that follow the seed, moved to -1…1, row by row; t has
P whole numbers of 4 bits and one power of two. Blocks follow the tensor's rows, filled up with zeros at the end.

    seeds         [N] of 2**width levels, none of them 0
    coefficients  [N, P] of 16 levels: less 8
    exponents     [N] of 16 levels: the power is of 2**(lowest + exponent)
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..payload import Broken, Payload
from .checks import matrix, only, whole
from .symbols import symbols

# The bits whose parity is shifted in, by the register's width: from primitive polynomials, so that a register goes
# through all states but 0.
TAPS = {
    4: (4, 3), 5: (5, 3), 6: (6, 5), 7: (7, 6), 8: (8, 6, 5, 4), 9: (9, 5), 10: (10, 7), 11: (11, 9),
    12: (12, 6, 4, 1), 13: (13, 4, 3, 1), 14: (14, 5, 3, 1), 15: (15, 14), 16: (16, 15, 13, 4),
}  # fmt: skip
ZERO = 8  # the symbol of the coefficient 0; symbols 0…15 stand for -8…7
LEVELS = 16
_AT_ONCE = 1 << 14  # blocks


def step(state: int, width: int) -> int:
    parity = 0
    for tap in TAPS[width]:
        parity ^= state >> (width - tap)
    return state >> 1 | (parity & 1) << (width - 1)


@lru_cache(maxsize=None)
def cycle(width: int) -> np.ndarray:
    """All states, from 1 on, in the order of the register."""
    states = [1]
    while True:
        state = step(states[-1], width)
        if state == 1:
            return np.array(states, np.int32)
        states.append(state)


@lru_cache(maxsize=None)
def places(width: int) -> np.ndarray:
    """Where a state stands in the cycle."""
    found = np.zeros(1 << width, np.int32)
    found[cycle(width)] = np.arange(len(cycle(width)))
    return found


def numbers(seeds: np.ndarray, width: int, block: int, rank: int) -> np.ndarray:
    """U of each seed [N, C, P] as whole numbers: multiplied by 2^(K - 1) - 1."""
    at = places(width)[seeds].reshape(-1, 1) + np.arange(1, block * rank + 1, dtype=np.int32)
    states: np.ndarray = cycle(width)[at % len(cycle(width))]
    states -= np.int32(1 << (width - 1))
    return states.reshape(-1, block, rank)


def scales(width: int, lowest: int) -> np.ndarray:
    """What the sum of whole numbers is multiplied by, for each of the 16 powers of two."""
    return np.array([2.0 ** (lowest + each) / ((1 << (width - 1)) - 1) for each in range(LEVELS)], np.float32)


def decode_seedlm(payload: Payload) -> np.ndarray:
    width = whole(payload, "width", min(TAPS), max(TAPS))
    block, rank = whole(payload, "block", 1, 64), whole(payload, "rank", 1, 8)
    lowest = whole(payload, "lowest", -126, 100)
    only(payload, "seeds", "coefficients", "exponents")
    rows, columns = matrix(payload)
    size = rows * columns
    count = -(-size // block)
    seeds = symbols(payload, "seeds", (count,), 1 << width)
    if count and not seeds.min():
        raise Broken("stream seeds has a 0, which is no state of a shift register")
    coefficients = symbols(payload, "coefficients", (count, rank), LEVELS)
    scale = scales(width, lowest)[symbols(payload, "exponents", (count,), LEVELS)]
    w = np.empty((count, block), np.float32)
    for first in range(0, count, _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        products = numbers(seeds[part], width, block, rank) * (coefficients[part, None].astype(np.int32) - ZERO)
        w[part] = products.sum(-1, dtype=np.int32).astype(np.float32) * scale[part, None]
    return w.reshape(-1)[:size].reshape(payload.shape)
