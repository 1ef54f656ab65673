"""What TensorRT 8.5 asks of pairs of QuantizeLinear (Q) and DequantizeLinear (DQ), checked on the graph alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from agentforge.edge.quantise.products import Constants
from agentforge.kit.errors import Violation

QUANTISE, DEQUANTISE = "QuantizeLinear", "DequantizeLinear"
NOT_IN_85 = ("DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv")
NEWEST_OPSET = 17


def check_qdq(path: Path) -> list[Violation]:
    """All that is wrong with a saved file; the field is the node's name."""
    return qdq_violations(onnx.load(path))


def qdq_violations(model: onnx.ModelProto) -> list[Violation]:
    checks = _Checks(model.graph)
    return [*_versions(model), *(each for node in model.graph.node for each in checks.of(node))]


def _versions(model: onnx.ModelProto) -> Iterator[Violation]:
    for each in model.opset_import:
        if not each.domain and each.version > NEWEST_OPSET:
            message = f"the file is of opset {each.version}; TensorRT 8.5 reads up to {NEWEST_OPSET}"
            yield Violation("opset_import", message, "OPSET_TOO_NEW", "Lower the file before quantising it.")


class _Checks:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self._constants = Constants(graph)
        self._maker = {output: node for node in graph.node for output in node.output}
        self._readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._readers[name].append(node)
        self._outputs = {each.name for each in graph.output}

    def of(self, node: onnx.NodeProto) -> Iterator[Violation]:
        def wrong(reason: str, message: str, step: str = "Quantise the float file again.") -> Violation:
            return Violation(node.name or node.output[0], message, reason, step)

        if node.op_type in NOT_IN_85 or (node.domain and node.op_type in (QUANTISE, DEQUANTISE)):
            yield wrong("NOT_IN_TENSORRT_85", f"{node.domain or 'ai.onnx'}.{node.op_type} is not in TensorRT 8.5")
        elif node.op_type == QUANTISE:
            readers = self._readers[node.output[0]]
            if (
                not readers
                or any(each.op_type != DEQUANTISE for each in readers)
                or node.output[0] in self._outputs
            ):
                yield wrong("Q_WITHOUT_DQ", "its codes are read by something else than DequantizeLinear")
            yield from (wrong(*each) for each in self._numbers(node))
        elif node.op_type == DEQUANTISE:
            yield from (wrong(*each) for each in (*self._numbers(node), *self._pair(node), *self._use(node)))

    def _numbers(self, node: onnx.NodeProto) -> Iterator[tuple[str, str]]:
        scale = self._constants.get(node.input[1])
        if scale is None or scale.dtype != np.float32:
            yield "BAD_SCALE", "its scale is not a float constant"
        elif not (np.isfinite(scale).all() and (scale > 0).all()):
            yield "BAD_SCALE", "a scale of it is not positive and finite"
        zero = self._constants.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
        if zero is None or zero.dtype != np.int8:
            yield "BAD_ZERO_POINT", "its zero point is not a constant of int8, so its codes are not int8"
        elif zero.any():
            yield "BAD_ZERO_POINT", "a zero point of it is not 0"

    def _pair(self, node: onnx.NodeProto) -> Iterator[tuple[str, str]]:
        maker = self._maker.get(node.input[0])
        if maker is None or maker.op_type != QUANTISE:
            yield "DQ_WITHOUT_Q", "it reads something else than the codes of a QuantizeLinear"
        elif (
            _axis(maker) != _axis(node)
            or any(
                not np.array_equal(self._constants.get(a), self._constants.get(b))  # type: ignore[arg-type]
                for a, b in zip(maker.input[1:], node.input[1:], strict=False)
            )
        ):
            yield "UNEQUAL_PAIR", f"scale, zero point or axis differ from those of {maker.name!r}"

    def _use(self, node: onnx.NodeProto) -> Iterator[tuple[str, str]]:
        maker = self._maker.get(node.input[0])
        constant = maker is not None and self._constants.get(maker.input[0]) is not None
        scale = self._constants.get(node.input[1])
        many = scale is not None and scale.size > 1
        for reader in self._readers[node.output[0]]:
            place = list(reader.input).index(node.output[0])
            if reader.op_type != "MatMul" or (constant and place != 1):
                yield (
                    "NOT_A_PRODUCT",
                    f"{reader.op_type} {reader.name!r} reads it; biases and tables stay float",
                )
        if many and not constant:
            yield "BAD_AXIS", "an activation has one scale, not one for each channel"
        elif many and _axis(node) not in (1, -1):
            yield "BAD_AXIS", f"a weight [K, N] has a scale for each of its outputs, axis 1, not {_axis(node)}"


def _axis(node: onnx.NodeProto) -> int:
    return next((each.i for each in node.attribute if each.name == "axis"), 1)
