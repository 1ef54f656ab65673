"""Rules for QuantizeLinear and DequantizeLinear: symmetric, constant, and per channel only on weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onnx import TensorProto

from agentforge.edge.rules.finding import Finding
from agentforge.edge.rules.view import View, attributes

Found = Iterator[Finding]
_WAY = "Quantise with ActivationSymmetric and WeightSymmetric, int8 for both."


def quantised(view: View) -> Found:
    for inner, node in view.walk():
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            yield from _zero_point(inner, node)
            yield from _scale(inner, node)


def _zero_point(view: View, node: Any) -> Found:
    name = view.operand(node, 2)
    if not name:
        message = "has no zero point, and the parser wants three inputs"
        yield view.finding(node, "zero-point", message, "Give an int8 zero point of 0.")
        return
    value = view.constant(name)
    if value is None:
        yield view.finding(node, "zero-point", "the zero point is not a constant", _WAY)
    elif (value != 0).any():
        yield view.finding(node, "zero-point", f"the zero point is {value.reshape(-1)[:4].tolist()}, not 0", _WAY)
    if view.type(name) not in (TensorProto.INT8, 0):
        yield view.finding(node, "zero-point", "the zero point is not int8", _WAY)


def _scale(view: View, node: Any) -> Found:
    scale, zero = view.constant(view.operand(node, 1)), view.constant(view.operand(node, 2))
    if scale is None:
        way = "Quantise statically, with scales from calibration."
        yield view.finding(node, "quantised-scale", "the scale is not a constant", way)
        return
    if not (scale > 0).all():
        yield view.finding(
            node, "quantised-scale", "a scale is not above 0", "Calibrate on data that reach the layer."
        )
    if zero is not None and zero.size != scale.size:
        message = f"{scale.size} scales and {zero.size} zero points"
        yield view.finding(node, "quantised-axis", message, "Give one zero point for each scale.")
    if scale.size > 1:
        yield from _axis(view, node, scale.size)


def _axis(view: View, node: Any, scales: int) -> Found:
    weights = view.tensor(node.input[0]) is not None or _of_weights(view, node.input[0])
    if not weights:
        message = f"{scales} scales for something that is computed; the parser takes channels of weights only"
        yield view.finding(node, "quantised-axis", message, "Use one scale for activations.")
    axis = attributes(node).get("axis")
    if axis is None:
        message = "no axis is written: ONNX takes 1, this parser 0, and says nothing"
        yield view.finding(node, "quantised-axis", message, "Write the axis into the node.")
        return
    shape = view.shape(node.input[0])
    if shape is not None and not -len(shape) <= axis < len(shape):
        yield view.finding(node, "quantised-axis", f"axis {axis} of {len(shape)} dimensions", "Mend the axis.")
    elif shape is not None and shape[axis] not in (scales, None):
        message = f"{scales} scales along axis {axis}, which has {shape[axis]}"
        yield view.finding(node, "quantised-axis", message, "Give one scale for each channel.")


def _of_weights(view: View, name: str) -> bool:
    """Behind a QuantizeLinear of a constant."""
    maker = view.makers.get(name)
    if maker is None or maker.op_type != "QuantizeLinear":
        return False
    return view.tensor(maker.input[0]) is not None


RULES = (quantised,)
