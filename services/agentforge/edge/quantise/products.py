"""The products of a graph by a constant weight, and the tables that token ids look up."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from agentforge.kit.errors import InvalidInput

IDS = "input_ids"
SAME_VALUES = ("Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")
LARGEST = 127  # of a ternary layer's codes of activations
LEAST = 32  # inputs and outputs of a weight worth quantising: gates of a few outputs cost no time, but accuracy

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Product:
    """x @ w.T (+ bias). `unit` is what can be kept float: the module, where the node names it; all its passes."""

    node: onnx.NodeProto
    unit: str
    w_NK: Floats
    bias: str = ""
    integers: bool = False  # x are whole numbers of at most LARGEST, w -1, 0 and 1: a ternary layer's codes


@dataclass(frozen=True)
class Lookup:
    """Rows of a table by token ids."""

    node: onnx.NodeProto
    unit: str
    table_VD: Floats


class Constants:
    """What is known of a graph before it runs: initializers, Constant nodes, and their transposes."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._initial = {each.name: each for each in graph.initializer}
        self._makers = {output: node for node in graph.node for output in node.output}
        self._found: dict[str, npt.NDArray[Any] | None] = {}

    def get(self, name: str) -> npt.NDArray[Any] | None:
        if name not in self._found:
            self._found[name] = self._value(name)
        return self._found[name]

    def _value(self, name: str) -> npt.NDArray[Any] | None:
        if name in self._initial:
            return numpy_helper.to_array(self._initial[name])
        node = self._makers.get(name)
        if node is None or node.op_type not in ("Constant", "Identity", "Transpose"):
            return None
        if node.op_type == "Constant":
            tensors = [each.t for each in node.attribute if each.name == "value"]
            return numpy_helper.to_array(tensors[0]) if tensors else None
        inner = self.get(node.input[0])
        order = next((list(each.ints) for each in node.attribute if each.name == "perm"), None)
        return inner if inner is None or node.op_type == "Identity" else inner.transpose(order)

    def weight(self, name: str) -> Floats | None:
        value = self.get(name)
        return value if value is not None and value.ndim == 2 and value.dtype == np.float32 else None

    def is_code(self, name: str) -> bool:
        """Rounded, and clipped to what 8 bits hold."""
        clip = self._makers.get(name)
        if clip is None or clip.op_type != "Clip":
            return False
        rounded = self._makers.get(clip.input[0])
        bounds = [self.get(each) for each in clip.input[1:]]
        return rounded is not None and rounded.op_type == "Round" and bounds == [-LARGEST, LARGEST]

    def source(self, name: str) -> str:
        """The graph's input (or constant, or product of several) that this is a reshaped or recast copy of."""
        node = self._makers.get(name)
        while node is not None and node.op_type in SAME_VALUES:
            name = node.input[0]
            node = self._makers.get(name)
        return name


def unit_of(node: onnx.NodeProto) -> str:
    told = {each.key: each.value for each in node.metadata_props}
    return told.get("module") or node.name or node.output[0]


def products(graph: onnx.GraphProto) -> Iterator[Product]:
    constants = Constants(graph)
    for node in graph.node:
        if node.domain or node.op_type not in ("MatMul", "Gemm") or constants.get(node.input[0]) is not None:
            continue
        weight = constants.weight(node.input[1])
        options = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        scaled = options.get("transA") or options.get("alpha", 1) != 1 or options.get("beta", 1) != 1
        if weight is None or min(weight.shape) < LEAST or scaled:
            continue
        bias = node.input[2] if len(node.input) > 2 else ""
        weight = weight if options.get("transB") else weight.T
        ternary = constants.is_code(node.input[0]) and bool(np.isin(weight, (-1, 0, 1)).all())
        yield Product(node, unit_of(node), weight, bias, ternary)


def lookups(graph: onnx.GraphProto) -> Iterator[Lookup]:
    """Tables looked up by token ids only: those of positions are small, and their error would be everywhere."""
    constants = Constants(graph)
    for node in graph.node:
        if node.op_type == "Gather" and constants.source(node.input[1]) == IDS:
            table = constants.weight(node.input[0])
            if table is not None and all(each.i == 0 for each in node.attribute if each.name == "axis"):
                yield Lookup(node, unit_of(node), table)


def check_kept(graph: onnx.GraphProto, keep: Collection[str]) -> None:
    """Every name in `keep` is a unit of this graph."""
    known = {each.unit for each in products(graph)} | {each.unit for each in lookups(graph)}
    for name in keep:
        if name not in known:
            message = f"no product by a constant weight belongs to {name!r}"
            step = f"Name one of: {', '.join(sorted(known)[:8])}, …" if known else "The graph holds none."
            raise InvalidInput(message, reason="UNKNOWN_LAYER", field="keep", next_step=step)
