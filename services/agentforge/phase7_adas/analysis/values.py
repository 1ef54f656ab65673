"""What flows through an ONNX graph once its dimensions have numbers: shapes, types, and who each value comes from.

Nodes are looked at in order. Shape arithmetic is computed for real, so that every Reshape knows its target.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentforge.kit.errors import InvalidInput, MissingTool

FOLDED = 65_536
"""Elements up to which a constant is computed: shapes, masks and ranges are, weights are not."""


def package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        message = f"the package {error.name!r} is not installed"
        raise MissingTool(message, field=name, next_step="pip install onnx") from error


Types = dict[str, tuple[tuple[int, ...] | None, int]]  # shape and type of each output


@dataclass(slots=True)
class Value:
    """One tensor. `static`: made from weights alone, so a runtime computes it once, when it loads the file."""

    name: str
    shape: tuple[int, ...] | None  # None: could not be found out
    bits: int  # of one element
    type: int  # as ONNX numbers them
    static: bool = False
    stored_bits: int = 0  # of one element where it is stored: behind a DequantizeLinear it is still 8
    state: bool = False  # comes in from the last step, perhaps through a view
    data: Any = None  # a numpy array where it is known
    roots: frozenset[str] = field(default_factory=frozenset)  # the initializers a static value is made of

    @property
    def elements(self) -> int:
        return math.prod(self.shape or ())

    @property
    def bytes(self) -> int:
        return -(-self.elements * self.bits // 8)

    @property
    def stored_bytes(self) -> int:
        return -(-self.elements * self.stored_bits // 8)


def is_state(name: str) -> bool:
    """By the names of the graph contract, in both directions."""
    return name.startswith(("window.", "memory.", "new.")) or name == "past_position"


class Values:
    """The values of one graph at one set of dimensions, and of each node what goes in and what comes out."""

    def __init__(self, model: Any, dims: Mapping[str, int]) -> None:
        self._onnx = package("onnx")
        self._opsets = {_domain(each.domain): each.version for each in model.opset_import}
        self._imports = list(model.opset_import)
        self._graph, self._dims = model.graph, dims
        self.known: dict[str, Value] = {}
        for tensor in model.graph.initializer:
            self.known[tensor.name] = self._initializer(tensor)
        for info in model.graph.input:
            if info.name not in self.known:
                self.known[info.name] = self._input(info)

    def walk(self) -> Iterator[tuple[Any, list[Value], list[Value]]]:
        """Every node with its inputs (those left out are left out here, too) and its outputs."""
        for node in self._graph.node:
            ins = [self._given(node, name) for name in node.input if name]
            outs = self._outputs(node, ins)
            self.known.update({value.name: value for value in outs})
            yield node, ins, outs

    def _given(self, node: Any, name: str) -> Value:
        if name not in self.known:
            raise _broken(node, f"reads {name!r}, which nothing before it makes")
        return self.known[name]

    def _bits(self, type_: int) -> int:
        narrow = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}
        name = self._onnx.TensorProto.DataType.Name(type_)
        return narrow.get(name) or int(8 * self._onnx.helper.tensor_dtype_to_np_dtype(type_).itemsize)

    def _initializer(self, tensor: Any) -> Value:
        shape, bits = tuple(tensor.dims), self._bits(tensor.data_type)
        small = math.prod(shape) <= FOLDED and not tensor.external_data
        data = self._onnx.numpy_helper.to_array(tensor) if small else None
        return Value(
            tensor.name, shape, bits, tensor.data_type, True, bits, data=data, roots=frozenset({tensor.name})
        )

    def _input(self, info: Any) -> Value:
        type_ = info.type.tensor_type
        shape = tuple(self._bound(info.name, dim) for dim in type_.shape.dim)
        return Value(info.name, shape, self._bits(type_.elem_type), type_.elem_type, state=is_state(info.name))

    def _bound(self, name: str, dim: Any) -> int:
        if not dim.dim_param:
            return int(dim.dim_value)
        if dim.dim_param not in self._dims:
            message = f"the graph's input {name} has a dimension {dim.dim_param!r} that was given no number"
            raise InvalidInput(message, reason="UNBOUND_DIMENSION", field=name, next_step="Name it among the dims.")
        return self._dims[dim.dim_param]

    def _outputs(self, node: Any, ins: list[Value]) -> list[Value]:
        static = all(value.static for value in ins)
        roots = frozenset[str]().union(*(value.roots for value in ins)) if static else frozenset[str]()
        values = []
        for name, (shape, type_) in self._types(node, ins).items():
            bits = self._bits(type_)
            stored = ins[0].stored_bits if static and node.op_type == "DequantizeLinear" else bits
            state = node.op_type in VIEWS and ins[0].state
            values.append(Value(name, shape, bits, type_, static, stored, state, roots=roots))
        self._fold(node, ins, values)
        return values

    def _types(self, node: Any, ins: list[Value]) -> Types:
        wanted = [name for name in node.output if name]
        ours = CONTRIB.get(node.op_type) if node.domain == "com.microsoft" else None
        if ours is not None and ins[0].shape is not None:
            return {wanted[0]: (ours(node, ins), ins[0].type)}
        unknown: Types = dict.fromkeys(wanted, (None, ins[0].type if ins else 1))
        if any(value.shape is None for value in ins):
            return unknown
        try:
            found = self._inferred(node, ins)
        except self._onnx.defs.SchemaError:  # an operator of a domain that onnx does not know
            return unknown
        return {name: found.get(name, unknown[name]) for name in wanted}

    def _inferred(self, node: Any, ins: list[Value]) -> Types:
        onnx = self._onnx
        domain = _domain(node.domain)
        schema = onnx.defs.get_schema(node.op_type, self._opsets.get(domain, 1), domain)
        types = {value.name: onnx.helper.make_tensor_type_proto(value.type, value.shape) for value in ins}
        data = {
            value.name: onnx.numpy_helper.from_array(value.data, value.name)
            for value in ins
            if value.data is not None
        }
        try:
            found = onnx.shape_inference.infer_node_outputs(schema, node, types, data, opset_imports=self._imports)
        except onnx.shape_inference.InferenceError as error:
            shapes = ", ".join(f"{value.name} {value.shape}" for value in ins)
            raise _broken(node, f"cannot work on {shapes} ({error})") from error
        return {name: _shape_and_type(type_) for name, type_ in found.items()}

    def _fold(self, node: Any, ins: list[Value], outs: list[Value]) -> None:
        if node.op_type in ("Shape", "Size"):
            known = ins[0].shape is not None
        else:
            known = all(value.data is not None for value in ins)
        known &= all(value.shape is not None and value.elements <= FOLDED for value in outs)
        if not known or node.op_type.startswith("Random") or _domain(node.domain):
            return
        feeds = {value.name: self._stand_in(node, value) for value in ins}
        run = package("onnx.reference").ReferenceEvaluator(node, opsets=self._opsets).run
        for value, array in zip(outs, run([value.name for value in outs], feeds), strict=True):
            value.data = array

    def _stand_in(self, node: Any, value: Value) -> Any:
        if value.data is not None:
            return value.data
        numpy = package("numpy")
        assert node.op_type in ("Shape", "Size")
        return numpy.broadcast_to(numpy.int8(0), value.shape)  # its shape is all they look at


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _broken(node: Any, what: str) -> InvalidInput:
    where = f"node {node.name or node.op_type!r} ({node.op_type})"
    way = "Check the file with onnx.checker, and the numbers given to its dimensions."
    return InvalidInput(f"{where} {what}", reason="GRAPH_BROKEN", field=node.name, next_step=way)


def _shape_and_type(type_: Any) -> tuple[tuple[int, ...] | None, int]:
    tensor = type_.tensor_type
    known = tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim)
    return (tuple(dim.dim_value for dim in tensor.shape.dim) if known else None), tensor.elem_type


def attribute(node: Any, name: str, default: Any = None) -> Any:
    for each in node.attribute:
        if each.name == name:
            return package("onnx").helper.get_attribute_value(each)
    return default


VIEWS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
"""Another name for the same bytes: nothing is computed or moved."""

CONTRIB: dict[str, Callable[[Any, list[Value]], tuple[int, ...]]] = {
    "MatMulNBits": lambda node, ins: (*(ins[0].shape or ())[:-1], attribute(node, "N")),
    "SimplifiedLayerNormalization": lambda node, ins: ins[0].shape or (),
    "SkipSimplifiedLayerNormalization": lambda node, ins: ins[0].shape or (),
    "QuickGelu": lambda node, ins: ins[0].shape or (),
}
"""Shapes of onnxruntime's own operators, for which onnx has no schema."""
