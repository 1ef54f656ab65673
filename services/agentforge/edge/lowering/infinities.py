"""Masks of -inf become masks of -1e4: a softmax of nothing but -inf is nan, and float16 ends at 65,504."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from onnx import numpy_helper

from agentforge.edge.lowering.draft import CannotLower
from agentforge.edge.rules.view import View, attributes

MASKED = -1e4
_LEAST_HALF = -65504.0
_SMALL = 1 << 20


def soften(view: View) -> list[str]:
    """Notes of what was changed. Constants of Where and Add only: elsewhere infinity may mean something."""
    uses: dict[str, list[Any]] = defaultdict(list)
    for _, node in view.walk():
        for index, name in enumerate(node.input):
            uses[name].append((node, index))
    notes = []
    for inner in view.every():
        for tensor in inner.graph.initializer:
            notes += _soften(inner, tensor, uses[tensor.name])
    return notes + _filled(view)


def _soften(view: View, tensor: Any, uses: list[Any]) -> list[str]:
    if np.prod(tensor.dims, dtype=np.int64) > _SMALL:
        return []
    found = view.read(tensor)
    if found is None or found.dtype.kind != "f" or not found.size or not uses:
        return []
    mask = all(node.op_type == "Add" or (node.op_type == "Where" and index > 0) for node, index in uses)
    low = found <= _LEAST_HALF
    if not np.isfinite(found).all() and (not mask or not np.isfinite(found[~low]).all()):
        message = f"constant {tensor.name!r} holds infinities or nan, and is not a mask of Where or Add"
        raise CannotLower(uses[0][0], message, "Use a large finite number.")
    if not mask or not low.any():
        return []
    softened = np.where(low, np.array(MASKED, found.dtype), found)
    tensor.CopyFrom(numpy_helper.from_array(softened, tensor.name))
    return [f"mask {tensor.name!r}: {int(low.sum())} values below {_LEAST_HALF:g} are {MASKED:g} now"]


def _filled(view: View) -> list[str]:
    notes = []
    for _, node in view.walk():
        if node.op_type == "ConstantOfShape" and "value" in attributes(node):
            tensor = node.attribute[0].t
            value = numpy_helper.to_array(tensor)
            if value.dtype.kind == "f" and (value <= _LEAST_HALF).all():
                tensor.CopyFrom(numpy_helper.from_array(np.full_like(value, MASKED)))
                notes.append(f"fill of {node.output[0]!r} is {MASKED:g} now")
    return notes
