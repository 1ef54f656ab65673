"""Search the seed of each block of weights: all 2^K - 1 of them, exactly.

The least error that a seed can have is that of coefficients that are not rounded: what the projection on the
columns of U leaves. It is a product of matrices, and rules out nearly every seed; the others' errors are computed
in double precision, of rounded coefficients: a seed of nearly dependent columns cannot look better than it is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from agentforge.codecs.decode.seedlm import LEVELS, TAPS, ZERO, cycle, numbers
from agentforge.codecs.encode.settings import known, whole
from agentforge.codecs.encode.weights import as_matrix
from agentforge.codecs.payload import Payload, Stream
from agentforge.codecs.spec import Spec
from agentforge.kit.rng import Rng

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST = 1 << 22  # pairs of a block and a seed at once
FIRST = 16  # seeds whose errors bound the search: the best of so many parts of all
SLACK = 1e-5  # of a block's square: what single precision may lose
SINGULAR = 1e-9  # of the least pivot to the largest; below, a seed is left out


class Table(NamedTuple):
    """Of every seed: orthonormal q [S, C, P] and r [S, P, P] of U, and q qᵀ as a vector [36 for C = 8, S]."""

    seeds: Ints
    q: Doubles
    r: Doubles
    projections: npt.NDArray[np.float32]


def encode_seedlm(
    w_OI: np.ndarray, spec: Spec, *, gram: np.ndarray | None = None, rng: Rng | None = None
) -> Payload:
    """Needs neither gram nor rng: SeedLM is free of data and of chance."""
    known(spec, "width", "block", "rank")
    width, rank = whole(spec, "width", 12, TAPS), whole(spec, "rank", 3, range(1, 9))
    block = whole(spec, "block", 8, range(rank, 33))
    w = as_matrix(w_OI, "seedlm").astype(np.float64).reshape(-1)
    w_NC = np.pad(w, (0, -len(w) % block)).reshape(-1, block)
    top = _top(w_NC)
    table = _table(width, block, rank)
    parts = max(1, MOST // len(table.seeds))
    found = [_searched(w_NC[first : first + parts], table, top) for first in range(0, len(w_NC), parts)]
    best, coefficients, exponents = (np.concatenate(each) for each in zip(*found, strict=True))
    kind = np.uint8 if width <= 8 else np.uint16
    streams = {
        "seeds": Stream(table.seeds[best].astype(kind), 1 << width),
        "coefficients": Stream((coefficients + ZERO).astype(np.uint8), LEVELS),
        "exponents": Stream((exponents - (top - LEVELS + 1)).astype(np.uint8), LEVELS),
    }
    settings = {"width": width, "block": block, "rank": rank, "lowest": top - LEVELS + 1}
    return Payload("seedlm", w_OI.shape, settings, streams)


def _top(w_NC: Doubles) -> int:
    """The largest power of two of the 16: some above what the largest block needs where U is well-conditioned."""
    largest = float(np.sqrt(np.square(w_NC).sum(1).max()))
    return max(-100, int(np.ceil(np.log2(largest / ZERO))) + 3) if largest else 0


@lru_cache(maxsize=4)
def _table(width: int, block: int, rank: int) -> Table:
    seeds = cycle(width).astype(np.int64)
    u = numbers(seeds, width, block, rank) / float((1 << (width - 1)) - 1)
    q, r = np.linalg.qr(u)
    pivots = np.abs(np.diagonal(r, axis1=1, axis2=2))
    singular = pivots.min(1) <= SINGULAR * pivots.max(1)
    q[singular], r[singular] = 0, np.eye(rank)
    upper = np.triu_indices(block)
    whole = q @ q.transpose(0, 2, 1)
    projections = np.zeros((len(upper[0]), len(seeds) + 1), np.float32)  # one more, as FIRST divides a power of two
    projections[:, :-1] = (whole[:, upper[0], upper[1]] * np.where(upper[0] == upper[1], 1, 2)).T
    return Table(seeds, q, r, projections)


def _searched(w_NC: Doubles, table: Table, top: int) -> tuple[Ints, Ints, Ints]:
    """Of each block the best seed's number, coefficients [N, P] and exponent."""
    norm_N = np.square(w_NC).sum(1)
    unit_NC = w_NC / np.sqrt(np.where(norm_N, norm_N, 1))[:, None]
    upper = np.triu_indices(w_NC.shape[1])
    kept_NS = (unit_NC[:, upper[0]] * unit_NC[:, upper[1]]).astype(np.float32) @ table.projections
    parts = kept_NS.reshape(len(w_NC), FIRST, -1)
    row = np.repeat(np.arange(len(w_NC)), FIRST)
    seed = (parts.argmax(-1) + np.arange(FIRST) * parts.shape[-1]).reshape(-1)
    first = _errors(w_NC, row, seed, table, top)[0].reshape(-1, FIRST)
    bound_N = 1 - SLACK - first.min(1) / np.where(norm_N, norm_N, 1)
    more_row, more_seed = np.nonzero(kept_NS[:, :-1] > bound_N[:, None].astype(np.float32))
    row, seed = np.concatenate([row, more_row]), np.concatenate([seed, more_seed])
    error, coefficients, exponents = _errors(w_NC, row, seed, table, top)
    order = np.lexsort((seed, error, row))
    best = order[np.searchsorted(row[order], np.arange(len(w_NC)))]
    return seed[best], coefficients[best], exponents[best]


def _errors(w_NC: Doubles, row: Ints, seed: Ints, table: Table, top: int) -> tuple[Doubles, Ints, Ints]:
    """Squared errors of pairs of a block and a seed, with coefficients [M, P] and exponents: the better of two."""
    w, q, r = w_NC[row], table.q[seed], table.r[seed]
    y = np.einsum("mcp,mc->mp", q, w)
    rest = np.square(w - np.einsum("mcp,mp->mc", q, y)).sum(1)
    wanted, _ = _solved(r, y, np.zeros(len(row)))
    largest = np.abs(wanted).max(1)
    exponent = np.ceil(np.log2(np.where(largest, largest, 1) / (ZERO - 0.5)))
    found = None
    for each in (exponent, exponent - 1):
        power = np.clip(each, top - LEVELS + 1, top)
        rounded, error = _solved(r, y, np.exp2(power))
        ours = error + rest, rounded.astype(np.int64), power.astype(np.int64)
        if found is None:
            found = ours
        else:
            better = ours[0] < found[0]
            found = (
                np.where(better, ours[0], found[0]), np.where(better[:, None], ours[1], found[1]),
                np.where(better, ours[2], found[2]),
            )  # fmt: skip
    assert found is not None
    return found


def _solved(r: Doubles, y: Doubles, scale: Doubles) -> tuple[Doubles, Doubles]:
    """t of r t = y, from the last to the first, each rounded (at scale 0: not) before the next; and the error.

    What one is rounded by, the next can still make up for: that loses less than rounding all in the end.
    """
    t, error, step = np.zeros_like(y), np.zeros(len(y)), np.where(scale, scale, 1)
    for at in reversed(range(y.shape[1])):
        left = y[:, at] - step * (r[:, at, at + 1 :] * t[:, at + 1 :]).sum(1)
        value = left / (r[:, at, at] * step)
        t[:, at] = np.where(scale, np.clip(np.rint(value), -ZERO, LEVELS - 1 - ZERO), value)
        error += np.square(left - step * r[:, at, at] * t[:, at])
    return t, error
