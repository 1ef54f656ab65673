"""int64 becomes int32, all the integers that an engine has, wherever the operators allow it.

What ONNX wants as int64 (shapes, axes, sizes) keeps its type: the parser reads it as int32 anyhow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

from agentforge.edge.rules.table import OPSET
from agentforge.edge.rules.view import View, subgraphs


def narrow(view: View) -> None:
    """int64 to int32, wherever all that is bound to be of one type with it may be int32."""
    _apart(view)
    free = _free(view)
    for tensor in view.graph.initializer:
        if tensor.name in free:
            tensor.CopyFrom(numpy_helper.from_array(view.read(tensor).astype(np.int32), tensor.name))
    for node in view.graph.node:
        if node.output and node.output[0] in free:
            for each in node.attribute:
                if each.type == AttributeProto.TENSOR and node.op_type == "ConstantOfShape":
                    each.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(each.t).astype(np.int32)))
                elif each.name in ("to", "dtype") and each.i == TensorProto.INT64:
                    each.i = TensorProto.INT32
    _ends(view, free)


def _apart(view: View) -> None:
    """A small constant that several nodes read is one for each of them: shapes and numbers often share a 1."""
    inside = {name for inner, node in view.walk() if inner is not view for name in node.input}
    outputs = {each.name for each in view.graph.output} | inside
    seen: set[str] = set()
    for index, node in enumerate(view.graph.node):
        for place, name in enumerate(node.input):
            tensor = view.constants.get(name)
            if tensor is None or tensor.data_type != TensorProto.INT64 or name in outputs:
                continue
            if name in seen and np.prod(tensor.dims, dtype=np.int64) <= 64:
                own = TensorProto()
                own.CopyFrom(tensor)
                own.name = f"{name}.{index}.{place}"
                view.graph.initializer.append(own)
                node.input[place] = own.name
                view.constants[own.name] = view.graph.initializer[-1]
            seen.add(name)


def _free(view: View) -> set[str]:
    """Names of int64 values that may all be int32: groups that one type binds, none of which needs int64."""
    parent: dict[str, str] = {}
    pinned: set[str] = set()

    def find(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            name = parent[name]
        return name

    for node in view.graph.node:
        if subgraphs(node):
            pinned |= {name for inner in subgraphs(node) for name in _names(inner)} | {*node.input, *node.output}
            continue
        groups: dict[str, str] = {}
        for name, key, allowed in _slots(node):
            kind = view.type(name)
            if kind not in (TensorProto.INT64, TensorProto.UNDEFINED):
                continue
            if not allowed or kind == TensorProto.UNDEFINED:
                pinned.add(name)
            first = groups.setdefault(key, name)
            parent[find(name)] = find(first)
    held = {find(name) for name in pinned}
    return {name for name in parent if find(name) not in held}


def _names(graph: Any) -> Iterator[str]:
    for node in graph.node:
        yield from (*node.input, *node.output)
        for inner in subgraphs(node):
            yield from _names(inner)
    yield from (each.name for each in (*graph.input, *graph.output, *graph.initializer))


def _slots(node: Any) -> Iterator[tuple[str, str, bool]]:
    """Each value of a node, the variable of its type, and whether int32 is one of its types."""
    schema = onnx.defs.get_schema(node.op_type, OPSET, "")
    allowed = {each.type_param_str: "tensor(int32)" in each.allowed_type_strs for each in schema.type_constraints}
    for names, formal in ((node.input, schema.inputs), (node.output, schema.outputs)):
        for place, name in enumerate(names):
            if name and formal:
                kind = formal[min(place, len(formal) - 1)].type_str
                yield name, kind, allowed.get(kind, False)


def _ends(view: View, free: set[str]) -> None:
    """Inputs and outputs are int32; where the graph needs int64 behind them, a Cast stands between."""
    for value in view.graph.input:
        if value.type.tensor_type.elem_type == TensorProto.INT64:
            value.type.tensor_type.elem_type = TensorProto.INT32
            if value.name not in free:
                _renamed(view, value.name, lambda node: node.input)
                cast = onnx.helper.make_node("Cast", [value.name], [f"{value.name}.int64"], to=TensorProto.INT64)
                view.graph.node.insert(0, cast)
    given = {each.name for each in view.graph.input}
    for value in view.graph.output:
        if value.type.tensor_type.elem_type == TensorProto.INT64:
            value.type.tensor_type.elem_type = TensorProto.INT32
            if value.name not in free and value.name not in given:
                _renamed(view, value.name, lambda node: node.output)
                _renamed(view, value.name, lambda node: node.input)
                cast = onnx.helper.make_node("Cast", [f"{value.name}.int64"], [value.name], to=TensorProto.INT32)
                view.graph.node.append(cast)


def _renamed(view: View, name: str, side: Callable[[Any], Any]) -> None:
    for _, node in view.walk():
        for place, each in enumerate(side(node)):
            if each == name:
                side(node)[place] = f"{name}.int64"
