"""What opset 18 writes otherwise than 17: axes and sizes as inputs, and operators that came with it or later."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from agentforge.edge.lowering.draft import Draft

_INTEGERS = (TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL)
_PURE = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd")  # over no axes they do nothing at all


def reduce(draft: Draft) -> None:
    """Axes become an attribute, except for ReduceSum, which has them as an input since 13."""
    node = draft.node
    axes = _axes(draft)
    draft.drop("noop_with_empty_axes")
    if not axes or node.op_type != "ReduceSum":
        node.input[:] = node.input[:1]
        if axes:
            node.attribute.append(onnx.helper.make_attribute("axes", axes))
    if not axes and draft.given.get("noop_with_empty_axes") and "axes" not in draft.given:
        if node.op_type not in _PURE:
            raise draft.refuse(
                "reduces over no axes, which opset 17 cannot say", "Write what it computes of itself."
            )
        draft.finish("Identity", node.input[0])
    elif draft.kind in _INTEGERS:
        _integers(draft)


def _axes(draft: Draft) -> list[int] | None:
    """None: there is no such input."""
    if not draft.input(1):
        return None
    found = draft.view.constant(draft.input(1))
    if found is None:
        message = f"its axes ({draft.input(1)!r}) are not a constant"
        raise draft.refuse(message, "Reduce over fixed axes: they become an attribute.")
    return [int(each) for each in found.reshape(-1)]


def _integers(draft: Draft) -> None:
    """Only floats are reduced by an engine: exact for flags, of which fewer than 2^24 are summed."""
    node = draft.node
    if not _flags(draft, node.input[0]) or node.op_type not in (
        "ReduceSum",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
    ):
        way = "Cast to float32 before it where values stay below 2^24, and back after it."
        raise draft.refuse("reduces integers, which 8.5 does not, and they may be beyond float32", way)
    floats = draft.op("Cast", node.input[0], to=TensorProto.FLOAT)
    given = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    reduced = draft.op(node.op_type, floats, *node.input[1:], **given)
    draft.finish("Cast", reduced, to=draft.kind)


def _flags(draft: Draft, name: str) -> bool:
    """Whether all values are 0 or 1."""
    view = draft.view
    if view.type(name) == TensorProto.BOOL:
        return True
    constant = view.constant(name)
    if constant is not None:
        return bool(((constant == 0) | (constant == 1)).all())
    maker = view.makers.get(name)
    if maker is None:
        return False
    if maker.op_type == "Where":
        return all(_flags(draft, each) for each in maker.input[1:])
    passes = ("Cast", "Identity", "Unsqueeze", "Squeeze", "Reshape", "Transpose", "Expand", "Slice", "Gather")
    return maker.op_type in passes and _flags(draft, maker.input[0])


def split(draft: Draft) -> None:
    """`num_outputs` becomes sizes: at 18 the last part may be smaller, at 17 it may not."""
    node, parts = draft.node, len(draft.node.output)
    draft.drop("num_outputs")
    if "num_outputs" not in draft.given or draft.input(1):
        return
    axis, shape = draft.given.get("axis", 0), draft.view.shape(node.input[0])
    size = shape[axis] if shape is not None else None
    if not isinstance(size, int):
        message = f"its {parts} parts are of an axis whose length is not fixed"
        raise draft.refuse(message, "Split along a fixed axis, or give the sizes.")
    each = -(-size // parts)
    sizes = [each] * (parts - 1) + [size - each * (parts - 1)]
    if sizes[-1] < 0:
        raise draft.refuse(f"{parts} parts of {size}", "Split into fewer parts.")
    node.input[:] = [node.input[0], draft.constant(sizes, np.int64)]


def pad(draft: Draft) -> None:
    """`axes` go: pads are written for all dimensions."""
    node = draft.node
    if draft.given.get("mode") == b"wrap":
        raise draft.refuse("mode 'wrap' came after opset 17", "Concatenate the parts that wrap around.")
    if not draft.input(3):
        node.input[:] = node.input[:3]
        return
    axes, pads = (draft.view.constant(draft.input(index)) for index in (3, 1))
    shape = draft.view.shape(node.input[0])
    if axes is None or pads is None or shape is None:
        raise draft.refuse("its axes or pads are not constants", "Pad by fixed numbers, or concatenate zeros.")
    every, count = np.zeros((2, len(shape)), np.int64), len(axes)
    for place, axis in enumerate(axes):
        every[:, axis] = pads[place], pads[count + place]
    node.input[:] = [node.input[0], draft.constant(every.reshape(-1), np.int64), *node.input[2:3]]


def shape(draft: Draft) -> None:
    """The parser gives the whole shape, whatever start and end say."""
    start, end = draft.given.get("start", 0), draft.given.get("end", 2**31 - 1)
    draft.drop("start", "end")
    if start == 0 and "end" not in draft.given:
        return
    whole = draft.op("Shape", draft.input(0))
    draft.finish("Slice", whole, *(draft.constant([each], np.int64) for each in (start, end, 0)))


def cast_like(draft: Draft) -> None:
    kind = draft.view.type(draft.input(1))
    if not kind:
        raise draft.refuse("the type is not known", "Cast to a type that is written in the node.")
    draft.finish("Cast", draft.input(0), to=kind)


def bitwise_not(draft: Draft) -> None:
    draft.finish("Sub", draft.op("Neg", draft.input(0)), draft.like(1))


def power(draft: Draft) -> None:
    """The parser takes no integer as the exponent of a float."""
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    if draft.kind not in floats or draft.view.type(draft.input(1)) in (*floats, 0):
        return
    value: Any = draft.view.constant(draft.input(1))
    exponent = draft.op("Cast", draft.input(1), to=draft.kind) if value is None else draft.like(value)
    draft.finish("Pow", draft.input(0), exponent)


def clip(draft: Draft) -> None:
    """Bounds at infinity are none."""
    for index in (1, 2):
        bound = draft.view.constant(draft.input(index))
        if bound is not None and bound.dtype.kind == "f" and not np.isfinite(bound).all():
            draft.node.input[index] = ""


REDUCES = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
REWRITES = {
    **{f"Reduce{each}": reduce for each in REDUCES},
    "Split": split, "Pad": pad, "Shape": shape, "CastLike": cast_like, "BitwiseNot": bitwise_not, "Pow": power,
    "Clip": clip,
}  # fmt: skip
