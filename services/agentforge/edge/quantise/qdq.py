"""int8 by pairs of QuantizeLinear and DequantizeLinear before products, for TensorRT 8.5.

onnxruntime's own tool gives a pair to every reader of an input, sums among them, if one product reads it; here only
the product does. Zero points are 0, no pair is shared, weights are float before their pair, biases stay float.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from agentforge.edge.quantise.products import Floats, check_kept, products
from agentforge.edge.quantise.qdq_rules import qdq_violations
from agentforge.edge.quantise.ranges import LEVELS
from agentforge.edge.quantise.surgery import Surgery
from agentforge.kit.errors import FailedPrecondition, InvalidInput

LEAST = np.finfo(np.float32).tiny  # a scale must not be 0


def quantise_qdq(
    source: Path, target: Path, ranges: Mapping[str, float], *, per_channel: bool, keep: Collection[str] = ()
) -> None:
    """Writes `target`, which obeys 8.5's rules or is not written. `ranges` are calibrate's, of this source."""
    model = with_pairs(onnx.load(source), ranges, per_channel=per_channel, keep=keep)
    found = qdq_violations(model)
    if found:
        raise InvalidInput.of(found)
    onnx.save(model, target)


def with_pairs(
    model: onnx.ModelProto, ranges: Mapping[str, float], *, per_channel: bool, keep: Collection[str] = ()
) -> onnx.ModelProto:
    """`keep` names units (see products.py) that stay float."""
    check_kept(model.graph, keep)
    pairs = _Pairs(model, per_channel)
    chosen = [each for each in products(pairs.graph.graph) if each.unit not in keep]
    missing = sorted({each.node.input[0] for each in chosen} - set(ranges))
    if missing:
        message = f"{len(missing)} inputs of products have no range, the first is {missing[0]!r}"
        raise FailedPrecondition(message, reason="NO_RANGE", field=missing[0], next_step="Calibrate this file.")
    for product in chosen:
        x, output = product.node.input[0], product.node.output[0]
        pairs.graph.replace(product.node)
        scale = pairs.stored(f"{x}.scale", np.array(ranges[x] / LEVELS, np.float32))
        inputs = [pairs.pair(x, scale), pairs.weight(product.unit, product.w_NK)]
        made = pairs.graph.add("MatMul", inputs, "" if product.bias else output)
        if product.bias:
            pairs.graph.add("Add", [made, product.bias], output)
    return pairs.graph.finish()


class _Pairs:
    def __init__(self, model: onnx.ModelProto, per_channel: bool) -> None:
        self.graph, self.per_channel = Surgery(model), per_channel
        self._stored: dict[bytes, str] = {}

    def stored(self, name: str, array: np.ndarray) -> str:
        """Equal constants are one."""
        key = hashlib.sha256(f"{array.shape}{array.dtype}".encode() + array.tobytes()).digest()
        if key not in self._stored:
            self._stored[key] = self.graph.constant(name, array)
        return self._stored[key]

    def pair(self, name: str, scale: str, *, channels: int | None = None) -> str:
        zeros = np.zeros(() if channels is None else channels, np.int8)
        rest = [scale, self.stored(f"zeros.{channels or 1}", zeros)]
        where: dict[str, Any] = {} if channels is None else {"axis": 1}
        codes = self.graph.add("QuantizeLinear", [name, *rest], **where)
        return self.graph.add("DequantizeLinear", [codes, *rest], **where)

    def weight(self, unit: str, w_NK: Floats) -> str:
        weight_KN = np.ascontiguousarray(w_NK.T)
        largest = np.abs(weight_KN).max(0 if self.per_channel else None)
        scale = np.maximum(largest / np.float32(LEVELS), LEAST).astype(np.float32)
        names = self.stored(f"{unit}.weight", weight_KN), self.stored(f"{unit}.weight.scale", scale)
        return self.pair(*names, channels=len(scale) if self.per_channel else None)
