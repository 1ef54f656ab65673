"""Vectors of neighbouring rows as entries of a codebook, by what the layer's outputs lose where inputs are known.

With a gram, columns are rounded one after another, those first whose inputs are largest, and each makes up for what
those before it were rounded by (as GPTQ does for single weights); its diagonal weighs vectors when entries are
learnt. Vectors lie across rows, so that a column is rounded whole before the next: along rows, where a vector's
weights cannot make up for each other, 1 to 6 % more was lost (correlated inputs, vectors of 2, 4 and 8).
Not for ternary weights.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from agentforge.codecs.decode.vptq import MOST_ENTRIES
from agentforge.codecs.encode.kmeans import codebook, nearest
from agentforge.codecs.encode.settings import known, whole
from agentforge.codecs.encode.weights import as_matrix
from agentforge.codecs.payload import Payload, Stream
from agentforge.codecs.spec import Spec
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Book = npt.NDArray[np.float16]

SIZES = range(2, MOST_ENTRIES + 1)
DAMP = 0.01  # of the gram's mean diagonal, added to it


class Part(NamedTuple):
    """Columns that share codebooks: one, or one and another for what it leaves."""

    name: str
    columns: Ints
    books: list[Book]


def encode_vptq(w_OI: np.ndarray, spec: Spec, *, gram: np.ndarray | None = None, rng: Rng | None = None) -> Payload:
    """`outliers`: so many of a hundred columns, those of the largest inputs, have two codebooks of their own."""
    known(spec, "vector", "entries", "residual", "outliers")
    vector, entries = whole(spec, "vector", 4, range(1, 17)), whole(spec, "entries", 256, SIZES)
    residual = whole(spec, "residual", 0, range(MOST_ENTRIES + 1))
    share = whole(spec, "outliers", 0, range(51))
    w = as_matrix(w_OI, "vptq").astype(np.float64)
    _check(w, gram, share)
    largest = float(np.abs(w).max())
    exponent = int(np.clip(np.floor(np.log2(largest)), -100, 100)) if largest else 0
    tall = np.pad(w, ((0, -len(w) % vector), (0, 0))) * 2.0**-exponent
    w_TVC = tall.reshape(-1, vector, w.shape[1])
    weight_C = np.ones(w.shape[1]) if gram is None else np.diagonal(gram) + DAMP * np.diagonal(gram).mean()
    own = np.sort(np.argsort(-weight_C, kind="stable")[: round(w.shape[1] * share / 100)])
    plain = np.setdiff1d(np.arange(w.shape[1]), own)
    dice = (rng or Rng(0, "vptq")).numpy()
    sizes = {"": [entries, residual][: 1 + bool(residual)], "outlier_": [entries, entries]}
    parts = [
        _part(name, w_TVC, columns, weight_C, sizes[name], dice)
        for name, columns in (("", plain), ("outlier_", own)) if name == "" or len(columns)
    ]  # fmt: skip
    codes_STC = _codes(w_TVC, parts, gram)
    streams = {"outlier_columns": Stream(own.astype(np.uint16), w.shape[1])} if len(own) else {}
    for part in parts:
        streams |= _streams(part, codes_STC)
    settings = {
        "vector": vector, "entries": entries, "residual": residual, "outliers": len(own), "exponent": exponent,
    }  # fmt: skip
    return Payload("vptq", w_OI.shape, settings, streams)


def _streams(part: Part, codes_STC: Ints) -> dict[str, Stream]:
    found = {}
    for stage, book, code_TC in zip(("", "residual_"), part.books, codes_STC, strict=False):
        kind = np.uint8 if len(book) <= 256 else np.uint16
        found[f"{part.name}{stage}codes"] = Stream(code_TC[:, part.columns].astype(kind), len(book))
        found[f"{part.name}{stage}book"] = Stream(book)
    return found


def _check(w: Doubles, gram: np.ndarray | None, share: int) -> None:
    columns = w.shape[1]
    if gram is None and share:
        message = "vptq: outliers are the columns of the largest inputs, and there is no gram to tell them by"
        raise InvalidInput(message, reason="NO_GRAM", field="vptq.outliers", next_step="Give one, or outliers 0.")
    if gram is not None and (gram.shape != (columns, columns) or not np.isfinite(gram).all()):
        message = f"vptq: a gram {gram.shape} of finite numbers does not fit a weight of {columns} inputs"
        raise InvalidInput(message, reason="WRONG_GRAM", field="gram", next_step="Take the layer's own inputs.")


def _part(
    name: str, w_TVC: Doubles, columns: Ints, weight_C: Doubles, sizes: list[int], dice: np.random.Generator
) -> Part:
    """Codebooks of these columns' vectors; the second of what the first leaves."""
    left = w_TVC[:, :, columns].transpose(0, 2, 1).reshape(-1, w_TVC.shape[1])
    weight = np.tile(weight_C[columns] / max(weight_C.max(), np.finfo(np.float64).tiny), len(w_TVC))
    books: list[Book] = []
    for size in sizes:
        books.append(codebook(left, weight, size, dice))
        left = left - books[-1][nearest(left, books[-1])]
    return Part(name, columns, books)


def _codes(w_TVC: Doubles, parts: list[Part], gram: np.ndarray | None) -> Ints:
    """[2, T, C]: of the first and of the second codebook."""
    tall, vector, wide = w_TVC.shape
    codes_STC = np.zeros((2, tall, wide), np.int64)
    if gram is None:
        for part in parts:
            vectors = w_TVC[:, :, part.columns].transpose(0, 2, 1).reshape(-1, vector)
            codes_STC[:, :, part.columns] = _rounded(vectors, part.books)[0].reshape(2, tall, -1)
        return codes_STC
    books = {int(column): part.books for part in parts for column in part.columns}
    order = np.argsort(-np.diagonal(gram), kind="stable")
    upper_CC = _feedback(gram[np.ix_(order, order)])
    left_CTV = np.ascontiguousarray(w_TVC.transpose(2, 0, 1)[order])
    for at, column in enumerate(order):
        codes_STC[:, :, column], values = _rounded(left_CTV[at], books[int(column)])
        error = (left_CTV[at] - values) / upper_CC[at, at]
        left_CTV[at + 1 :] -= upper_CC[at, at + 1 :, None, None] * error
    return codes_STC


def _feedback(gram: Doubles) -> Doubles:
    """Upper factor of the damped gram's inverse: row i says how later columns make up for an error of column i."""
    mean = float(np.diagonal(gram).mean())
    damped = gram + np.eye(len(gram)) * (DAMP * mean if mean > 0 else 1.0)
    return np.linalg.cholesky(np.linalg.inv(damped)).T


def _rounded(x_NV: Doubles, books: list[Book]) -> tuple[Ints, Doubles]:
    """Codes [2, N] and the values that they stand for."""
    codes, values = np.zeros((2, len(x_NV)), np.int64), np.zeros_like(x_NV)
    for stage, book in enumerate(books):
        codes[stage] = nearest(x_NV - values, book)
        values += book[codes[stage]]
    return codes, values
