"""What an exporter leaves behind: constants as nodes, copies, transposed weights. The function stays the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

MODULE = "module"
"""Where a node's metadata say which module of the model it came from, with dots."""


def clean(model: Any) -> Any:
    import onnx_ir
    from onnx_ir.passes import common

    graph = onnx_ir.serde.deserialize_model(model)
    for step in (
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.IdentityEliminationPass(),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
    ):
        step(graph)
    found: Any = onnx_ir.serde.serialize_model(graph)
    _fold_casts(found)
    _fold_transposes(found)
    _fold_reshapes(found)
    _name_modules(found)
    return found


def _fold_casts(model: Any) -> None:
    """Of constants: bounds of a clip, say, which torch casts each time."""
    import onnx

    graph = model.graph
    constants = {each.name: each for each in graph.initializer}
    outputs = {each.name for each in graph.output}
    for node in list(graph.node):
        if node.op_type == "Cast" and node.input[0] in constants and node.output[0] not in outputs:
            value = onnx.numpy_helper.to_array(constants[node.input[0]])
            kind = onnx.helper.tensor_dtype_to_np_dtype(
                next(each.i for each in node.attribute if each.name == "to")
            )
            graph.initializer.append(onnx.numpy_helper.from_array(value.astype(kind), node.output[0]))
            graph.node.remove(node)


def _fold_transposes(model: Any) -> None:
    """Of weights that nothing else reads: a table that is also the head stays one tensor."""
    import onnx

    graph = model.graph
    users = Counter(name for node in graph.node for name in node.input)
    weights = {each.name: each for each in graph.initializer}
    turned = {}
    for node in graph.node:
        if node.op_type == "Transpose" and node.input[0] in weights and users[node.input[0]] == 1:
            turned[node.output[0]] = node
    for output, node in turned.items():
        weight = weights[node.input[0]]
        order = next((list(each.ints) for each in node.attribute if each.name == "perm"), None)
        value = np.ascontiguousarray(onnx.numpy_helper.to_array(weight).transpose(order))
        weight.CopyFrom(onnx.numpy_helper.from_array(value, weight.name))
        graph.node.remove(node)
        for user in graph.node:
            for place, name in enumerate(user.input):
                if name == output:
                    user.input[place] = weight.name


def _fold_reshapes(model: Any) -> None:
    """A shape put together from the tensor's own first sizes and constants is a constant with zeros: copy those."""
    import onnx

    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    values = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer if len(each.dims) < 2}
    made = {}
    for node in graph.node:
        if node.op_type != "Reshape" or (shape := makers.get(node.input[1])) is None or shape.op_type != "Concat":
            continue
        sizes: list[int] = []
        for name in shape.input:
            sizes += _sizes(name, node.input[0], len(sizes), makers, values)
        if None not in sizes and sizes.count(-1) < 2:
            name = f"shape_{'_'.join(map(str, sizes))}"
            made[name] = onnx.numpy_helper.from_array(np.array(sizes, np.int64), name)
            node.input[1] = name
    graph.initializer.extend(made.values())
    _drop_unused(graph)


def _sizes(name: str, source: str, place: int, makers: dict[str, Any], values: dict[str, Any]) -> list[Any]:
    """What a part of a shape says: sizes, 0 for that of `source` at this place, None where it is not known."""
    if name in values:
        return [int(each) for each in np.atleast_1d(values[name])]
    node = makers.get(name)
    if node is None:
        return [None]
    if node.op_type == "Unsqueeze":
        return _sizes(node.input[0], source, place, makers, values)
    maker = makers.get(node.input[0])
    if maker is None or maker.op_type != "Shape" or maker.input[0] != source:
        return [None]
    if node.op_type == "Gather":
        return [0 if int(values[node.input[1]]) == place else None]
    if node.op_type == "Slice":
        start, end = (int(values[each].item()) for each in node.input[1:3])
        return [0] * (end - start) if start == place and end > start else [None]
    return [None]


def _drop_unused(graph: Any) -> None:
    kept = {each.name for each in graph.output}
    for node in reversed(list(graph.node)):
        if kept.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            kept.update(node.input)
    for each in [each for each in graph.initializer if each.name not in kept]:
        graph.initializer.remove(each)


def _name_modules(model: Any) -> None:
    """By a node's weight, else by its name, /layers.0/attention/MatMul. All else that was told of it goes."""
    graph = model.graph
    weights = {each.name for each in graph.initializer if "::" not in each.name and "/" not in each.name}
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
        scope = ".".join(node.name.split("/")[1:-1])
        own = [name.rpartition(".")[0] for name in node.input if name in weights and "." in name]
        scope = next((name for name in own if name.startswith(scope.partition(".")[0])), scope)
        if scope:
            node.metadata_props.add(key=MODULE, value=scope)
    del graph.metadata_props[:], model.metadata_props[:], graph.value_info[:]
    for each in (*graph.input, *graph.output, *graph.initializer):
        del each.metadata_props[:]
        each.doc_string = ""
    model.producer_name, model.producer_version = "agentforge", ""
