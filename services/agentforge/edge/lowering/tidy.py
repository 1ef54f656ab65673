"""What is left over goes: nodes and constants that nobody reads, and names that are missing or taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
from onnx import TensorProto, numpy_helper

from agentforge.edge.rules.view import View, as_tensor, subgraphs


def hoist(graph: Any) -> None:
    """Constant nodes become initialisers, so that a constant has one form only."""
    outputs = {each.name for each in graph.output}
    for node in list(graph.node):
        for inner in subgraphs(node):
            hoist(inner)
        found = as_tensor(node) if node.op_type == "Constant" else None
        if found is None:
            continue
        name = node.output[0]
        if name in outputs:
            name = f"{name}.value"
            node.CopyFrom(onnx.helper.make_node("Identity", [name], node.output, node.name))
        else:
            graph.node.remove(node)
        graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(found), name))


def dead(graph: Any) -> None:
    """Backwards from the outputs; what a branch reads of the outside counts, too."""
    needed = {each.name for each in graph.output}
    for node in reversed(list(graph.node)):
        if needed.isdisjoint(node.output):
            graph.node.remove(node)
            continue
        for inner in subgraphs(node):
            dead(inner)
        needed |= set(_reads(node))
    kept = [each for each in graph.initializer if each.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]


def _reads(node: Any) -> Iterator[str]:
    yield from node.input
    for inner in subgraphs(node):
        yield from (each.name for each in inner.output)
        for each in inner.node:
            yield from _reads(each)


def casts(view: View) -> None:
    """A Cast to the type that is there already does nothing."""
    outputs = {each.name for each in view.graph.output}
    same: dict[str, str] = {}
    for node in view.graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
        if node.op_type == "Cast" and node.output[0] not in outputs:
            kind = onnx.helper.get_node_attr_value(node, "to")
            if view.type(node.input[0]) == kind != TensorProto.UNDEFINED:
                same[node.output[0]] = node.input[0]
    for inner, node in view.walk():
        if inner is not view:
            node.input[:] = [same.get(name, name) for name in node.input]


def names(view: View) -> None:
    taken: set[str] = set()
    for _, node in view.walk():
        name = node.name or f"{node.op_type}_{node.output[0]}"
        count = 0
        while name in taken:
            count += 1
            name = f"{node.name or node.op_type}~{count}"
        node.name = name
        taken.add(name)
