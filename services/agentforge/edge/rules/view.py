"""A file as the rules look at it: its nodes, also in branches and bodies, with types, shapes and constants."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

from agentforge.edge.rules.finding import Finding

DEFAULT_DOMAINS = ("", "ai.onnx")
_SMALL = 1 << 20  # elements; larger constants are weights, not axes or masks
_SCOPES = ("pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy")
Dims = list[int | str | None]


@dataclass
class View:
    """One graph: the model's own, or a branch within it that sees everything around it."""

    model: Any
    graph: Any
    base: Path | None = None  # where external data lie
    around: View | None = None
    constants: dict[str, Any] = field(default_factory=dict)  # TensorProto by name
    values: dict[str, Any] = field(default_factory=dict)  # TypeProto by name
    makers: dict[str, Any] = field(default_factory=dict)  # NodeProto by output

    def __post_init__(self) -> None:
        self.constants = {each.name: each for each in self.graph.initializer}
        for each in (*self.graph.input, *self.graph.value_info, *self.graph.output):
            self.values[each.name] = each.type
        for node in self.graph.node:
            self.makers.update(dict.fromkeys(node.output, node))
            if node.op_type == "Constant" and node.output:
                found = as_tensor(node)
                if found is not None:
                    self.constants[node.output[0]] = found

    def tensor(self, name: str) -> Any:
        """The TensorProto behind a constant's name, through Identity."""
        if name in self.constants:
            return self.constants[name]
        maker = self.makers.get(name)
        if maker is not None and maker.op_type == "Identity":
            return self.tensor(maker.input[0])
        return self.around.tensor(name) if self.around and maker is None else None

    def constant(self, name: str) -> Any:
        """Its numbers; None where it is none, is large or cannot be read."""
        tensor = self.tensor(name) if name else None
        if tensor is None or np.prod(tensor.dims, dtype=np.int64) > _SMALL:
            return None
        return self.read(tensor)

    def read(self, tensor: Any) -> Any:
        try:
            return numpy_helper.to_array(tensor, str(self.base or ""))
        except (OSError, ValueError, TypeError, onnx.checker.ValidationError):
            return None  # missing external data have their own rule

    def type(self, name: str) -> int:
        """TensorProto's number of the type; 0 is unknown."""
        if name in self.values and self.values[name].HasField("tensor_type"):
            return int(self.values[name].tensor_type.elem_type)
        if name in self.constants:
            return int(self.constants[name].data_type)
        return self.around.type(name) if self.around and name not in self.makers else 0

    def shape(self, name: str) -> Dims | None:
        if name in self.constants:
            return list(self.constants[name].dims)
        if name in self.values:
            return dims_of(self.values[name])
        return self.around.shape(name) if self.around and name not in self.makers else None

    def operand(self, node: Any, index: int) -> str:
        """An input's name, "" where it is left out; -1 is the first output."""
        if index < 0:
            return str(node.output[0]) if node.output else ""
        return str(node.input[index]) if len(node.input) > index else ""

    def opset(self) -> int:
        return max((each.version for each in self.model.opset_import if each.domain in DEFAULT_DOMAINS), default=0)

    def every(self) -> Iterator[View]:
        """This graph, and those within it."""
        yield self
        for node in self.graph.node:
            for inner in subgraphs(node):
                yield from View(self.model, inner, self.base, self).every()

    def walk(self) -> Iterator[tuple[View, Any]]:
        return ((view, node) for view in self.every() for node in view.graph.node)

    def finding(self, node: Any, rule: str, message: str, next_step: str) -> Finding:
        return Finding(label(node), node.op_type, rule, message, next_step, module_of(node))


def of_model(rule: str, message: str, next_step: str, name: str = "") -> Finding:
    return Finding(name, "", rule, message, next_step)


def label(node: Any) -> str:
    return str(node.name or (node.output[0] if node.output else ""))


def attributes(node: Any) -> Mapping[str, Any]:
    return {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}


def subgraphs(node: Any) -> list[Any]:
    single = [each.g for each in node.attribute if each.type == AttributeProto.GRAPH]
    return single + [graph for each in node.attribute for graph in each.graphs]


def as_tensor(node: Any) -> Any:
    """What a Constant node holds; None for strings and sparse tensors."""
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    for each in node.attribute:
        if each.name == "value":
            return each.t
        if each.name in kinds:
            return numpy_helper.from_array(np.array(onnx.helper.get_attribute_value(each), kinds[each.name]))
    return None


def dims_of(type_: Any) -> Dims | None:
    if not type_.HasField("tensor_type") or not type_.tensor_type.HasField("shape"):
        return None
    every = type_.tensor_type.shape.dim
    return [each.dim_value if each.HasField("dim_value") else each.dim_param or None for each in every]


def type_name(number: int) -> str:
    known = TensorProto.DataType.values()
    return str(TensorProto.DataType.Name(number)).lower() if number in known else f"of an unknown type ({number})"


def legible(view: View) -> bool:
    """Whether all names are text: protobuf gives bytes where a damaged file holds something else."""
    graphs = [inner.graph for inner in view.every()]
    values = [each for graph in graphs for each in (*graph.input, *graph.output, *graph.initializer)]
    texts: list[Any] = [each.name for each in values]
    for _, node in view.walk():
        texts += [node.name, node.op_type, node.domain, *node.input, *node.output]
        texts += [each.name for each in node.attribute]
        texts += [text for each in node.metadata_props for text in (each.key, each.value)]
    return all(isinstance(each, str) for each in texts)


def module_of(node: Any) -> str:
    """Our exporter's "module"; of torch's own metadata the innermost scope before the operator's own name."""
    told = {each.key: each.value for each in node.metadata_props}
    if "module" in told:
        return str(told["module"])
    for key in _SCOPES:
        if key in told:
            try:
                scopes = [each for each in ast.literal_eval(told[key])[:-1] if each]
            except (ValueError, SyntaxError):
                continue
            return str(scopes[-1]) if scopes else ""
    return str(told.get("namespace", ""))
