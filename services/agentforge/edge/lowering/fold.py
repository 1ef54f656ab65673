"""What is made of small constants alone is a constant: the parser wants axes, sizes and K as such, not as nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from agentforge.edge.rules.view import View, subgraphs

_MOST = 4096  # elements: axes, shapes and small tables, no weights
_NEVER = ("Constant", "DequantizeLinear", "QuantizeLinear", "Dropout")


def fold(view: View) -> None:
    """In place, in the graph itself; branches and bodies keep their nodes."""
    known = {each.name for each in view.graph.initializer if np.prod(each.dims, dtype=np.int64) <= _MOST}
    nodes = []
    for node in view.graph.node:
        if _foldable(view, node, known):
            nodes.append(node)
            known |= set(node.output)
    if not nodes:
        return
    values = _evaluate(view, nodes)
    for node in nodes:
        view.graph.node.remove(node)
    view.graph.initializer.extend(numpy_helper.from_array(np.asarray(each), name) for name, each in values.items())


def _foldable(view: View, node: Any, known: set[str]) -> bool:
    if node.op_type in _NEVER or node.op_type.startswith("Random") or node.domain or subgraphs(node):
        return False
    if not node.input or not all(name in known or not name for name in node.input):
        return False
    outputs = {each.name for each in view.graph.output}
    shapes = [view.shape(name) for name in node.output if name]
    small = all(shape is not None and all(isinstance(each, int) for each in shape) for shape in shapes)
    return small and outputs.isdisjoint(node.output) and all(_size(shape) <= _MOST for shape in shapes)


def _size(shape: Any) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _evaluate(view: View, nodes: list[Any]) -> dict[str, Any]:
    """All their outputs, by ONNX's own reference in Python."""
    read = {name for node in nodes for name in node.input}
    names = [name for node in nodes for name in node.output if name]
    graph = onnx.helper.make_graph(
        nodes, "constants", [], [onnx.ValueInfoProto(name=name) for name in names],
        [each for each in view.graph.initializer if each.name in read],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=list(view.model.opset_import))
    return dict(zip(names, ReferenceEvaluator(model).run(None, {}), strict=True))
