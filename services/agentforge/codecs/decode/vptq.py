"""VPTQ (arXiv 2409.17066): weights of some neighbouring rows in one column, as an entry of a codebook.

Of Python 3.8, with numpy alone. Rows are filled up to a multiple of `vector`. A weight is its entry's value, times
2**exponent; where there is a second codebook ("residual"), the sum of both entries' values.

    codes              [R / vector, C - S] of `entries` levels
    book               [entries, vector] float16
    residual_codes     as codes, of `residual` levels; residual_book [residual, vector]: if residual is not 0
    outlier_columns    [S] which columns have books of their own: if outliers, S, is not 0
    outlier_codes      [R / vector, S] of `entries` levels; outlier_book
    outlier_residual_codes, outlier_residual_book: as these, what the first leave
"""

from __future__ import annotations

import numpy as np

from ..payload import Broken, Payload
from .checks import matrix, only, whole
from .symbols import symbols, table

MOST_ENTRIES = 1 << 12
PARTS = ("", "residual_", "outlier_", "outlier_residual_")


def decode_vptq(payload: Payload) -> np.ndarray:
    vector, entries = whole(payload, "vector", 1, 16), whole(payload, "entries", 2, MOST_ENTRIES)
    residual = whole(payload, "residual", 0, MOST_ENTRIES)
    rows, columns = matrix(payload)
    outliers = whole(payload, "outliers", 0, columns)
    scale = np.float32(2.0 ** whole(payload, "exponent", -100, 100))
    parts = [part for part in PARTS if (outliers or "outlier" not in part) and (residual or part != "residual_")]
    only(payload, *(part + name for part in parts for name in ("codes", "book")), *["outlier_columns"][:outliers])
    tall = -(-rows // vector)
    w_TCV = np.empty((tall, columns, vector), np.float32)
    own = _columns(payload, outliers, columns)
    plain = np.setdiff1d(np.arange(columns), own)
    w_TCV[:, plain] = _values(payload, "", tall, len(plain), vector, entries)
    if residual:
        w_TCV[:, plain] += _values(payload, "residual_", tall, len(plain), vector, residual)
    if outliers:
        w_TCV[:, own] = _values(payload, "outlier_", tall, outliers, vector, entries)
        w_TCV[:, own] += _values(payload, "outlier_residual_", tall, outliers, vector, entries)
    w = w_TCV.transpose(0, 2, 1).reshape(tall * vector, columns)[:rows] * scale
    return np.ascontiguousarray(w).reshape(payload.shape)


def _values(payload: Payload, part: str, tall: int, wide: int, vector: int, entries: int) -> np.ndarray:
    code_TC = symbols(payload, part + "codes", (tall, wide), entries)
    found: np.ndarray = table(payload, part + "book", (entries, vector))[code_TC]
    return found


def _columns(payload: Payload, outliers: int, columns: int) -> np.ndarray:
    if not outliers:
        return np.zeros(0, np.int64)
    found = symbols(payload, "outlier_columns", (outliers,), columns).astype(np.int64)
    if (np.diff(found) <= 0).any():
        raise Broken("stream outlier_columns does not rise")
    return found
