"""What one step of an exported graph costs, node by node, summed by module and by kind. Counted, not timed.

The file's nodes say in their metadata ("module") which module of the model they come from. Dimensions get numbers
first, so a trace is of one step: so many new tokens, so many stored ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentforge.phase7_adas.analysis.rules import RULES, bytes_read, bytes_written, kind_of
from agentforge.phase7_adas.analysis.values import VIEWS, Value, Values, attribute, is_state, package

UNNAMED = "(no module)"
FLOATS = (1, 10, 11, 16)  # float32, float16, double, bfloat16, as ONNX numbers them
_SCALES = {"MatMulNBits": 2, "GatherBlockQuantized": 2, "QuantizeLinear": 1, "DequantizeLinear": 1}
"""Where an operator's inputs stop being numbers of the model and start to be their scales and zero points."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Sums of some nodes. Weights are counted at each use: twice where two passes share a layer."""

    flops: int = 0
    matmul_flops: int = 0  # the share of `flops` that matrix products do
    weight_bytes: int = 0
    matmul_weights: int = 0  # elements of the weights that matrix products read
    matmul_weight_bytes: int = 0
    state_bytes: int = 0  # read of the last step's state, and written for the next
    activation_bytes_read: int = 0
    activation_bytes_written: int = 0
    nodes: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, name) + getattr(other, name) for name in Cost.__slots__))

    def record(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in Cost.__slots__}


@dataclass(frozen=True, slots=True)
class NodeCost:
    name: str
    op: str
    module: str
    kind: str
    cost: Cost
    reads: dict[str, int]  # bytes of each weight, by name


@dataclass(frozen=True, slots=True)
class NotCounted:
    """A node nobody has a rule for, or whose shapes could not be found out. Its cost is missing from every sum."""

    name: str
    op: str
    module: str
    why: str


@dataclass(slots=True)
class Trace:
    dims: dict[str, int]
    parameters: int = 0  # as the file holds them: what its exporter computed in advance counts as computed
    parameters_by_module: dict[str, int] = field(default_factory=dict)
    weight_bytes_once: int = 0  # each weight once, however often it is used
    weight_bytes_stored: int = 0  # of all initializers, as the file has them
    product_weights: dict[str, tuple[int, int]] = field(default_factory=dict)  # initializer: elements, bytes
    at_load: int = 0  # nodes that depend on weights alone: a runtime computes them once
    peak_activation_bytes: int = 0
    nodes: list[NodeCost] = field(default_factory=list)
    not_counted: list[NotCounted] = field(default_factory=list)

    @property
    def total(self) -> Cost:
        return sum((each.cost for each in self.nodes), Cost())

    def stored_at(self, weight_bits: float | None) -> float:
        """Bytes of all weights, were those of matrix products kept in so many bits; None: as they are."""
        if weight_bits is None:
            return self.weight_bytes_stored
        gained = sum(elements * weight_bits / 8 - size for elements, size in self.product_weights.values())
        return self.weight_bytes_stored + gained

    def by_module(self) -> dict[str, Cost]:
        return _summed((each.module, each.cost) for each in self.nodes)

    def by_kind(self) -> dict[str, Cost]:
        return _summed((each.kind, each.cost) for each in self.nodes)


def trace(model: Any, dims: Mapping[str, int]) -> Trace:
    """Of an ONNX model, or of a file of one, at these dimensions: {"batch": 1, "time": 1, "past": 256, ...}."""
    if isinstance(model, str | Path):
        model = package("onnx").load(model)
    values, found = Values(model, dims), Trace(dict(dims))
    _weights(model, values, found)
    steps = []
    outputs = {info.name for info in model.graph.output}
    for node, ins, outs in values.walk():
        if all(value.static for value in ins) and not _makes_noise(node):
            found.at_load += 1
            continue
        steps.append((node, ins, outs))
        _count(found, node, ins, outs, outputs)
        if kind_of(node, ins) == "matmul":
            found.product_weights.update(_products(node, ins, values))
    found.weight_bytes_once = sum(_most_read(found.nodes).values())
    found.peak_activation_bytes = _peak(steps, outputs)
    return found


def group_of(module: str) -> str:
    """The part of the model that a reader thinks in: layers.3.attention of layers.3.attention.qkv."""
    parts = module.split(".")
    numbered = next((place for place, part in enumerate(parts) if part.isdigit()), None)
    return ".".join(parts[: 1 if numbered is None else numbered + 2])


def _summed(pairs: Iterable[tuple[str, Cost]]) -> dict[str, Cost]:
    sums: dict[str, Cost] = {}
    for name, cost in pairs:
        sums[name] = sums.get(name, Cost()) + cost
    return sums


def _products(node: Any, ins: list[Value], values: Values) -> dict[str, tuple[int, int]]:
    """The tables among the initializers that a product's weights are made of, at load or before."""
    found = {}
    for name in {name for value in ins for name in value.roots}:
        value = values.known[name]
        if len(value.shape or ()) > 1 and _logical(node, value):
            found[name] = _logical(node, value), value.stored_bytes
    return found


def _most_read(nodes: Iterable[NodeCost]) -> dict[str, int]:
    most: dict[str, int] = {}
    for each in nodes:
        for name, size in each.reads.items():
            most[name] = max(size, most.get(name, 0))
    return most


def _makes_noise(node: Any) -> bool:
    return bool(node.op_type.startswith("Random"))


def _module(node: Any) -> str:
    return next((each.value for each in node.metadata_props if each.key == "module" and each.value), UNNAMED)


def _weights(model: Any, values: Values, found: Trace) -> None:
    """Parameters belong to the module that uses them first; scales of packed weights are none."""
    owner: dict[str, str] = {}
    packed: dict[str, int] = {}
    scales: set[str] = set()
    for node in model.graph.node:
        for name in node.input:
            owner.setdefault(name, _module(node))
        scales.update(node.input[_SCALES.get(node.op_type, len(node.input)) :])
        if node.op_type == "MatMulNBits":
            packed[node.input[1]] = _unpacked(node)
    for tensor in model.graph.initializer:
        value = values.known[tensor.name]
        found.weight_bytes_stored += value.stored_bytes
        number = value.type in FLOATS or value.bits <= 8
        if not number or not value.shape or value.name in scales:  # no shape: an epsilon or the like
            continue
        count, module = packed.get(value.name, value.elements), owner.get(value.name, UNNAMED)
        found.parameters += count
        found.parameters_by_module[module] = found.parameters_by_module.get(module, 0) + count


def _count(found: Trace, node: Any, ins: list[Value], outs: list[Value], outputs: set[str]) -> None:
    module, op = _module(node), node.op_type
    rule = RULES.get(op)
    if rule is None or any(value.shape is None for value in (*ins, *outs)):
        why = f"no rule for {op}" if rule is None else "its shapes could not be found out"
        found.not_counted.append(NotCounted(node.name, op, module, why))
        return
    kind = kind_of(node, ins)
    read = {value.name: (value, bytes_read(node, value, outs)) for value in ins}.values()
    weights = [(value, size) for value, size in read if value.static]
    flops = rule(node, ins, outs)
    product = kind in ("matmul", "mixing")
    matrix = [(value, size) for value, size in weights if kind == "matmul" and len(value.shape or ()) > 1]
    written, kept = bytes_written(node, outs), _kept(node, outs, outputs)
    cost = Cost(
        flops=flops,
        matmul_flops=flops if product else 0,
        weight_bytes=sum(size for _, size in weights),
        matmul_weights=sum(_logical(node, value) for value, _ in matrix),
        matmul_weight_bytes=sum(size for _, size in matrix),
        state_bytes=sum(size for value, size in read if value.state) + kept,
        activation_bytes_read=sum(size for value, size in read if not value.static and not value.state),
        activation_bytes_written=written - kept,
        nodes=1,
    )
    found.nodes.append(NodeCost(node.name, op, module, kind, cost, {value.name: size for value, size in weights}))


def _kept(node: Any, outs: list[Value], outputs: set[str]) -> int:
    if node.op_type in VIEWS:
        return 0
    return sum(value.bytes for value in outs if value.name in outputs and is_state(value.name))


def _unpacked(node: Any) -> int:
    return int(attribute(node, "N")) * int(attribute(node, "K"))


def _logical(node: Any, value: Value) -> int:
    """Elements of a product's weights: of packed ones, those before packing, and none of their scales."""
    if node.op_type != "MatMulNBits":
        return value.elements
    return _unpacked(node) if value.name == node.input[1] else 0


def _peak(steps: list[tuple[Any, list[Value], list[Value]]], outputs: set[str]) -> int:
    """Most bytes of intermediate values alive at once, each from the node that makes it to the last that reads it.

    Inputs and state are not among them. In the file's order, with nothing fused and nothing in place.
    """
    root: dict[str, str] = {}
    last: dict[str, int] = {}
    for place, (node, ins, outs) in enumerate(steps):
        for value in ins:
            last[root.get(value.name, value.name)] = place
        for value in outs:
            name = root.get(ins[0].name, ins[0].name) if node.op_type in VIEWS else value.name
            root[value.name] = name
            last[name] = len(steps) if value.name in outputs else max(place, last.get(name, place))
    alive = peak = 0
    freed: dict[int, int] = {}
    for place, (node, _, outs) in enumerate(steps):
        for value in outs:
            if node.op_type not in VIEWS:
                alive += value.bytes
                freed[last[value.name]] = freed.get(last[value.name], 0) + value.bytes
        peak = max(peak, alive)
        alive -= freed.get(place, 0)
    return peak
