"""double becomes float everywhere: each operator takes it. int64 constants are brought into the range of int32."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import AttributeProto, TensorProto, numpy_helper

from agentforge.edge.rules.view import View

_DTYPES = ("to", "dtype")
_LIMITS = np.iinfo(np.int32)


def floats(view: View) -> list[str]:
    """In place, in all graphs."""
    notes: list[str] = []
    for graph in (inner.graph for inner in view.every()):
        for tensor in graph.initializer:
            notes += _float(tensor, view)
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.tensor_type.elem_type == TensorProto.DOUBLE:
                value.type.tensor_type.elem_type = TensorProto.FLOAT
    for _, node in view.walk():
        for each in node.attribute:
            if each.type == AttributeProto.TENSOR:
                notes += _float(each.t, view)
            elif each.name in _DTYPES and each.i == TensorProto.DOUBLE:
                each.i = TensorProto.FLOAT
    return notes


def _float(tensor: Any, view: View) -> list[str]:
    if tensor.data_type != TensorProto.DOUBLE:
        return []
    wide = view.read(tensor)
    limit = np.finfo(np.float32).max
    beyond = np.isfinite(wide) & (np.abs(wide) > limit)
    narrow = np.where(beyond, np.clip(wide, -limit, limit), wide).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(narrow, tensor.name))
    return [f"constant {tensor.name!r}: {int(beyond.sum())} values clamped to float32"] if beyond.any() else []


def clamp(view: View) -> list[str]:
    """int64 constants whose values are beyond int32, of whatever type they will be."""
    notes = []
    tensors = [each for inner in view.every() for each in inner.graph.initializer]
    tensors += [each.t for _, node in view.walk() for each in node.attribute if each.type == AttributeProto.TENSOR]
    for tensor in tensors:
        wide = view.read(tensor) if tensor.data_type == TensorProto.INT64 else None
        if wide is not None and wide.size and (wide.min() < _LIMITS.min or wide.max() > _LIMITS.max):
            tensor.CopyFrom(numpy_helper.from_array(wide.clip(_LIMITS.min, _LIMITS.max), tensor.name))
            notes.append(f"constant {tensor.name!r}: {wide.min()} to {wide.max()} clamped to int32")
    return notes
