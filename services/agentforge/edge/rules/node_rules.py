"""Rules for every node: is the operator in the table, of this type, with these attributes?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from agentforge.edge.rules import table
from agentforge.edge.rules.finding import Finding
from agentforge.edge.rules.view import DEFAULT_DOMAINS, View, attributes, of_model, type_name

LETTERS: dict[int, str] = {
    TensorProto.FLOAT: "f", TensorProto.DOUBLE: "f", TensorProto.FLOAT16: "h", TensorProto.INT32: "i",
    TensorProto.INT64: "i", TensorProto.INT8: "q", TensorProto.BOOL: "b",
}  # fmt: skip
_WORDS = {"f": "float32", "h": "float16", "i": "int32", "q": "int8", "b": "bool"}
_AXES = "axes as an input"
_NEWER = {"noop_with_empty_axes", "num_outputs", "antialias", "keep_aspect_ratio_policy", "saturate"}
_INTEGERS_SAID = ("CumSum", "TopK")  # their own rules say it, too


def operators(view: View) -> Iterator[Finding]:
    for inner, node in view.walk():
        if node.domain not in DEFAULT_DOMAINS:
            continue
        if not table.supported(node.op_type):
            message = "the 8.5 table has not this operator"
            if node.op_type.startswith(("Sequence", "Optional", "SplitToSequence", "ConcatFromSequence")):
                yield inner.finding(node, "sequence-type", message, "Use plain tensors only.")
            else:
                yield inner.finding(node, "unsupported-op", message, table.way_out(node.op_type))
            continue
        yield from _type(inner, node)
        yield from _attributes(inner, node)


def _type(view: View, node: Any) -> Iterator[Finding]:
    number = view.type(view.operand(node, table.OPERAND.get(node.op_type, 0)))
    if number in (0, TensorProto.UINT8):  # uint8 has a rule of its own
        return
    letter = LETTERS.get(number, "")
    if letter and (table.takes(node.op_type, letter) or (letter == "i" and node.op_type in _INTEGERS_SAID)):
        return
    words = ", ".join(_WORDS[each] for each in table.TYPES[node.op_type] if each in _WORDS)
    message = f"the parser takes {words} here, not {type_name(number)}"
    rule = "integer-reduce" if node.op_type.startswith("Reduce") and letter == "i" else "type"
    way = "Cast to float32 before it where values stay below 2^24, and back after it." if letter == "i" else ""
    yield view.finding(node, rule, message, way or "Cast to one of these before it.")


def _attributes(view: View, node: Any) -> Iterator[Finding]:
    schema = onnx.defs.get_schema(node.op_type, table.OPSET, "")
    given = attributes(node)
    strange = sorted(set(given) - set(schema.attributes))
    newer = [f"attribute {name!r}" for name in strange if name in _NEWER]
    if len(node.input) > schema.max_input and view.operand(node, len(node.input) - 1):
        newer.append(_AXES if node.op_type.startswith("Reduce") else f"input {len(node.input) - 1}")
    if newer:
        rule = "opset-18-form" if view.opset() > table.OPSET else "opset-18-in-disguise"
        silent = " and reduces over all dimensions" if newer[-1] == _AXES else ""
        message = f"written as opset 18 has it ({', '.join(newer)}): the parser does not read that{silent}"
        yield view.finding(node, rule, message, "Pass the model, as opset 18, through edge.lowering.lower.")
    for name in strange:
        if name not in _NEWER:
            message = f"attribute {name!r} is not one that the operator has at opset {table.OPSET}"
            yield view.finding(node, "unknown-attribute", message, "Remove it, or export again.")
    if given.get("noop_with_empty_axes") and "noop_with_empty_axes" in schema.attributes:
        message = "noop_with_empty_axes is not read: without axes the parser reduces over all dimensions"
        yield view.finding(node, "noop-axes", message, "Use Identity, as edge.lowering does.")


def constants(view: View) -> Iterator[Finding]:
    """Numbers that the engine would read as others: clamped, or not numbers."""
    seen: set[str] = set()
    for inner, node in view.walk():
        for name in (*node.input, *node.output):
            tensor = inner.constants.get(name)
            if tensor is None or name in seen:
                continue
            seen.add(name)
            yield from _numbers(inner, node, inner.read(tensor), name)
        yield from _within(inner, node)


def _within(view: View, node: Any) -> Iterator[Finding]:
    """Tensors and numbers in attributes."""
    if node.op_type == "Constant":
        return
    for name, value in attributes(node).items():
        if isinstance(value, TensorProto):
            yield from _numbers(view, node, view.read(value), name)
        elif isinstance(value, float) and not np.isfinite(value):
            yield from _numbers(view, node, np.array(value), name)


def _numbers(view: View, node: Any, found: Any, name: str) -> Iterator[Finding]:
    if found is None or found.size == 0:
        return
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        which = sorted({str(each) for each in found[~np.isfinite(found)].reshape(-1)})
        message = f"constant {name!r} holds {', '.join(which)}: rows that are masked all over become nan"
        yield view.finding(node, "infinite-constant", message, "Mask with -1e4, as edge.lowering does.")
    bounds = {np.dtype(np.int64): (-(2**31), 2**31 - 1), np.dtype(np.float64): (-3.4028235e38, 3.4028235e38)}
    if found.dtype in bounds and np.isfinite(found).all():
        least, most = bounds[found.dtype]
        if found.min() < least or found.max() > most:
            narrow = "int32" if found.dtype.kind == "i" else "float32"
            message = (
                f"constant {name!r} goes beyond {narrow} ({found.min()} to {found.max()}), and would be clamped"
            )
            yield view.finding(node, "wide-constant", message, "Keep within it; edge.lowering clamps, and says so.")


def strange_types(view: View) -> Iterator[Finding]:
    """Types that no engine of 8.5 has, wherever they stand."""
    seen: set[str] = set()
    for inner, node in view.walk():
        for name in node.output:
            number = inner.type(name)
            known = number in LETTERS or number in (0, TensorProto.UINT8)
            if not known and name not in seen and table.supported(node.op_type):
                seen.add(name)
                message = f"makes {type_name(number)}, a type that the parser has not"
                yield inner.finding(node, "type", message, "Use float32, float16, int32, int8 or bool.")
    for each in view.graph.sparse_initializer:
        message = f"weights {each.values.name!r} are sparse, which the parser does not read"
        yield of_model("type", message, "Store them as a plain tensor.", each.values.name)
    for each in view.graph.initializer:
        if each.data_type not in LETTERS and each.data_type != TensorProto.UINT8:
            message = f"weights {each.name!r} are {type_name(each.data_type)}, a type that the parser has not"
            yield of_model("type", message, "Use float32, float16, int32, int8 or bool.", each.name)


RULES = (operators, constants, strange_types)
