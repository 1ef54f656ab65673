"""What one node computes and moves: each operator's rule. An operator without one is not counted, and listed so.

FLOPs: a multiply-add is two; a comparison, an exponential or a sigmoid of one element is one. Bytes: what a node
reads and writes if nothing is fused with its neighbours; of a table, only the rows it looks up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from agentforge.phase7_adas.analysis.values import VIEWS, Value, attribute

Rule = Callable[[Any, list[Value], list[Value]], int]


def _product(_: Any, ins: list[Value], outs: list[Value]) -> int:
    assert ins[0].shape is not None
    return 2 * outs[0].elements * ins[0].shape[-1]


def _gemm(node: Any, ins: list[Value], outs: list[Value]) -> int:
    assert ins[0].shape is not None
    depth = ins[0].shape[0 if attribute(node, "transA", 0) else 1]
    return outs[0].elements * (2 * depth + (len(ins) > 2))


def _packed_product(node: Any, ins: list[Value], outs: list[Value]) -> int:
    return 2 * outs[0].elements * int(attribute(node, "K"))


def _each(count: int) -> Rule:
    return lambda node, ins, outs: count * outs[0].elements


def _each_read(count: int) -> Rule:
    return lambda node, ins, outs: count * ins[0].elements


_PRODUCTS: dict[str, Rule] = {
    "MatMul": _product, "MatMulInteger": _product, "Gemm": _gemm, "MatMulNBits": _packed_product,
}  # fmt: skip
_ELEMENTWISE = (
    "Abs", "Add", "And", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Ceil", "Clip",
    "Cos", "Div", "Equal", "Erf", "Exp", "Floor", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less",
    "LessOrEqual", "Log", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "Relu", "Round",
    "Sigmoid", "Sign", "Sin", "Softplus", "Sqrt", "Sub", "Tanh", "Where", "Xor",
)  # fmt: skip
_REDUCED = {
    "ReduceMax": 1, "ReduceMean": 1, "ReduceMin": 1, "ReduceSum": 1, "ReduceProd": 1, "ReduceL1": 2, "ReduceL2": 2,
    "ReduceSumSquare": 2, "ArgMax": 1, "ArgMin": 1, "CumSum": 1, "DynamicQuantizeLinear": 4,
}  # fmt: skip
_PER_ELEMENT = {
    "Softmax": 5, "LogSoftmax": 5, "Gelu": 3, "QuickGelu": 3, "Swish": 2, "LeakyRelu": 2, "Elu": 3,
    "LayerNormalization": 7, "RMSNormalization": 4, "SimplifiedLayerNormalization": 4,
    "SkipSimplifiedLayerNormalization": 5, "QuantizeLinear": 2, "DequantizeLinear": 2,
}  # fmt: skip
_MOVEMENT = (
    "Cast", "CastLike", "Concat", "ConstantOfShape", "Expand", "EyeLike", "Gather", "GatherElements",
    "GatherND", "GatherBlockQuantized", "OneHot", "Pad", "Range", "ScatterElements", "ScatterND", "Shape",
    "Size", "Slice", "Split", "Tile", "Transpose", "Trilu",
)  # fmt: skip
_LOOKUPS = frozenset({"Gather", "GatherElements", "GatherND", "GatherBlockQuantized", "Slice", "Split"})

RULES: dict[str, Rule] = {
    **_PRODUCTS,
    **dict.fromkeys(_ELEMENTWISE, _each(1)),
    **{name: _each_read(count) for name, count in _REDUCED.items()},
    **{name: _each(count) for name, count in _PER_ELEMENT.items()},
    **dict.fromkeys(_MOVEMENT, _each(0)),
    **dict.fromkeys(VIEWS, _each(0)),
}


def kind_of(node: Any, ins: list[Value]) -> str:
    """`matmul` has weights on one side, `mixing` has none: attention's two products."""
    if node.op_type in _PRODUCTS:
        return "matmul" if any(value.static for value in ins[:2]) else "mixing"
    for kind, names in (("normalise", ("Softmax", "LogSoftmax")), ("reduce", _REDUCED), ("move", _MOVEMENT)):
        if node.op_type in names:
            return kind
    if node.op_type in VIEWS:
        return "view"
    return "normalise" if node.op_type.endswith("Normalization") else "elementwise"


def bytes_read(node: Any, value: Value, outs: list[Value]) -> int:
    """Of one input of the node: all of it, or the share that a lookup takes."""
    whole = value.stored_bytes if value.static else value.bytes
    if node.op_type in VIEWS or node.op_type in ("Shape", "Size"):
        return 0
    if node.op_type in _LOOKUPS and value.name == node.input[0]:
        taken = sum(each.elements for each in outs) * (value.stored_bits if value.static else value.bits)
        return min(whole, math.ceil(taken / 8))
    return whole


def bytes_written(node: Any, outs: list[Value]) -> int:
    if node.op_type in VIEWS or node.op_type in ("Shape", "Size"):
        return 0
    return sum(value.bytes for value in outs)
