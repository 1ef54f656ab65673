"""Running sums and triangles, of slices, ranges and comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from agentforge.edge.lowering.draft import Draft

MOST_STEPS = 32  # of a running sum that is written out


def cum_sum(draft: Draft) -> None:
    """As running adds: the parser would make a loop of it."""
    axis, shape = draft.view.constant(draft.input(1)), draft.view.shape(draft.input(0))
    if axis is None or shape is None:
        raise draft.refuse("its axis or rank is not fixed", "Sum along a fixed axis.")
    place = int(axis.reshape(-1)[0])
    size = shape[place] if -len(shape) <= place < len(shape) else None
    if not isinstance(size, int) or not 1 <= size <= MOST_STEPS:
        message = f"sums along an axis of {size or 'unknown length'}; up to {MOST_STEPS} steps are written out"
        raise draft.refuse(
            message, "Give the running sums (positions, counts) as an input, or multiply by a triangle."
        )
    if size == 1 and not draft.given.get("exclusive"):
        draft.finish("Identity", draft.input(0))
        return
    parts = draft.split(draft.input(0), [1] * size, place)
    sums = _running(draft, parts[::-1] if draft.given.get("reverse") else parts)
    draft.finish("Concat", *(sums[::-1] if draft.given.get("reverse") else sums), axis=place)


def _running(draft: Draft, parts: Sequence[str]) -> list[str]:
    exclusive = bool(draft.given.get("exclusive"))
    sums = [parts[0]]
    for each in parts[1 : len(parts) - exclusive]:
        sums.append(draft.op("Add", sums[-1], each))
    if not exclusive:
        return sums
    zeros = draft.op("Expand", draft.like([0]), draft.op("Shape", parts[0]))
    return [zeros, *sums][: len(parts)]


def trilu(draft: Draft) -> None:
    """Rank 2 and 3 the parser takes; of others the mask is made of two ranges."""
    shape = draft.view.shape(draft.input(0))
    if shape is not None and len(shape) in (2, 3):
        return
    if shape is not None and isinstance(shape[-1], int) and isinstance(shape[-2], int):
        shift = draft.view.constant(draft.input(1)) if draft.input(1) else np.zeros(())
        if shift is not None:
            ones = np.ones((shape[-2], shape[-1]), bool)
            make = np.triu if draft.given.get("upper", 1) else np.tril
            _masked(draft, draft.constant(make(ones, int(shift.reshape(-1)[0])), np.bool_))
            return
    size = draft.op("Shape", draft.input(0))
    rows = draft.op("Unsqueeze", _range(draft, size, -2), draft.constant([1], np.int64))
    columns = draft.op("Unsqueeze", _range(draft, size, -1), draft.constant([0], np.int64))
    if draft.input(1):
        rows = draft.op("Add", rows, draft.input(1))
    compare = "GreaterOrEqual" if draft.given.get("upper", 1) else "LessOrEqual"
    _masked(draft, draft.op(compare, columns, rows))


def _range(draft: Draft, size: str, place: int) -> str:
    length = draft.op("Gather", size, draft.constant(place, np.int64))
    return draft.op("Range", draft.constant(0, np.int64), length, draft.constant(1, np.int64))


def _masked(draft: Draft, mask: str) -> None:
    if draft.kind == TensorProto.BOOL:
        draft.finish("And", draft.input(0), mask)
    else:
        draft.finish("Where", mask, draft.input(0), draft.like(0))


REWRITES = {"CumSum": cum_sum, "Trilu": trilu}
