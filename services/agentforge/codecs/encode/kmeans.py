"""Codebooks: k-means of weighted vectors, begun far apart, with entries as float16 stores them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

ROUNDS = 30
ENOUGH = 1e-4  # of the error, gained in a round: then it ends
BEGIN = 16  # vectors an entry, of those that the first entries are chosen from
LEARN = 256  # vectors an entry, of those that entries are means of
AT_ONCE = 1 << 22  # pairs of a vector and an entry


def nearest(x_NV: Doubles, book_EV: npt.NDArray[np.float16]) -> npt.NDArray[np.int64]:
    """Each vector's entry."""
    book = book_EV.astype(np.float32)
    table = np.concatenate([book, -0.5 * np.square(book).sum(1, keepdims=True)], 1).T
    wide = np.pad(x_NV.astype(np.float32), ((0, 0), (0, 1)), constant_values=1)
    rows = max(1, AT_ONCE // len(book))
    return np.concatenate([(wide[at : at + rows] @ table).argmax(1) for at in range(0, len(wide), rows)])


def codebook(x_NV: Doubles, weight_N: Doubles, entries: int, dice: np.random.Generator) -> npt.NDArray[np.float16]:
    """[entries, V]; zeros where there are fewer vectors than entries."""
    if len(x_NV) > entries * LEARN:
        chosen = dice.choice(len(x_NV), entries * LEARN, replace=False)
        x_NV, weight_N = x_NV[chosen], weight_N[chosen]
    book = _begun(x_NV, weight_N, entries, dice)
    last = np.inf
    for _ in range(ROUNDS):
        code = nearest(x_NV, book)
        error_N = weight_N * np.square(x_NV - book[code].astype(np.float64)).sum(1)
        if error_N.sum() >= (1 - ENOUGH) * last:
            break
        last = float(error_N.sum())
        book = _means(x_NV, weight_N, code, error_N, book)
    return book


def _begun(x_NV: Doubles, weight_N: Doubles, entries: int, dice: np.random.Generator) -> npt.NDArray[np.float16]:
    """k-means++: each entry a vector, likely one that is far from those before."""
    some = dice.permutation(len(x_NV))[: entries * BEGIN]
    x, weight = x_NV[some], weight_N[some]
    book = np.zeros((entries, x.shape[1]), np.float16)
    far = np.square(x).sum(1) * weight if len(x) <= entries else weight
    for at in range(min(entries, len(x))):
        total = np.cumsum(far)
        chosen = int(np.searchsorted(total, dice.random() * total[-1], side="right")) if total[-1] > 0 else 0
        book[at] = x[min(chosen, len(x) - 1)]
        away = weight * np.square(x - book[at].astype(np.float64)).sum(1)
        far = np.minimum(far, away) if at else away
    return book


def _means(
    x_NV: Doubles, weight_N: Doubles, code: npt.NDArray[np.int64], error_N: Doubles, book: npt.NDArray[np.float16]
) -> npt.NDArray[np.float16]:
    """An entry that nobody takes goes to where most is lost."""
    entries = len(book)
    mass = np.bincount(code, weight_N, entries)
    sums = np.stack([np.bincount(code, weight_N * x, entries) for x in x_NV.T], 1)
    found = np.where(mass[:, None] > 0, sums / np.where(mass > 0, mass, 1)[:, None], 0)
    empty = np.flatnonzero(mass == 0)
    worst = np.argsort(-error_N, kind="stable")[: len(empty)]
    found[empty[: len(worst)]] = x_NV[worst]
    return found.astype(np.float16)
