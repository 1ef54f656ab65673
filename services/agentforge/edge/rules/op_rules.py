"""Rules for single operators: what the importers of 8.5 ask for, do not read, or read otherwise than ONNX says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from onnx import TensorProto

from agentforge.edge.rules.finding import Finding
from agentforge.edge.rules.view import DEFAULT_DOMAINS, View, attributes, label

Found = Iterator[Finding]
MOST_K = 3840
_INTEGERS = (TensorProto.INT32, TensorProto.INT64)


def trilu(view: View, node: Any) -> Found:
    shape = view.shape(node.input[0])
    if shape is None:
        message = "the rank is unknown, and must be 2 or 3"
        yield view.finding(node, "trilu-rank", message, "Build the mask from Range and GreaterOrEqual.")
    elif len(shape) not in (2, 3):
        message = f"of rank {len(shape)}; the parser takes 2 or 3"
        yield view.finding(node, "trilu-rank", message, "Build the mask from Range and GreaterOrEqual.")


def top_k(view: View, node: Any) -> Found:
    wanted = view.constant(view.operand(node, 1))
    if wanted is None:
        yield view.finding(node, "topk-k", "K is not a constant", "Export with a fixed number, or pad to it.")
    elif int(wanted.reshape(-1)[0]) > MOST_K:
        message = f"K is {int(wanted.reshape(-1)[0])}; an engine takes at most {MOST_K}"
        yield view.finding(node, "topk-k", message, "Take fewer, or do it outside of the graph.")
    if view.type(node.input[0]) in _INTEGERS:
        yield view.finding(node, "type", "the parser takes no integers here", "Cast to float32 before it.")


def cum_sum(view: View, node: Any) -> Found:
    message = "becomes a loop over the axis in the engine, one step after the other"
    way = "Write out the running sums (edge.lowering does for 32 or fewer), or give them as an input."
    yield view.finding(node, "cumsum", message, way)


def one_hot(view: View, node: Any) -> Found:
    if view.constant(view.operand(node, 1)) is None:
        yield view.finding(node, "onehot", "the depth is not a constant", "Export with a fixed number of classes.")


def mod(view: View, node: Any) -> Found:
    kind = view.type(node.input[0])
    if not attributes(node).get("fmod", 0) and kind and kind not in _INTEGERS:
        yield view.finding(node, "mod", "fmod = 0 takes integers only", "Use fmod = 1, or x - y * Floor(x / y).")


def constant_inputs(*places: tuple[int, str]) -> Callable[[View, Any], Found]:
    def rule(view: View, node: Any) -> Found:
        for index, what in places:
            name = view.operand(node, index)
            if name and view.tensor(name) is None:
                message = f"{what} ({name!r}) is not a constant"
                yield view.finding(node, "constant-input", message, f"Export with fixed {what}.")

    return rule


def squeeze(view: View, node: Any) -> Found:
    yield from constant_inputs((1, "axes"))(view, node)
    shape = view.shape(node.input[0])
    if not view.operand(node, 1) and (shape is None or any(not isinstance(each, int) for each in shape)):
        yield view.finding(node, "constant-input", "has no axes, and its input is dynamic", "Say the axes.")


def einsum(view: View, node: Any) -> Found:
    equation = attributes(node)["equation"].decode(errors="replace")
    terms = equation.replace(" ", "").split("->")[0].split(",")
    if "." in equation:
        yield view.finding(
            node, "einsum", f"{equation!r} has an ellipsis", "Write out the dimensions, or use MatMul."
        )
    elif any(each.isupper() for each in equation):
        yield view.finding(node, "einsum", f"{equation!r} has capitals", "Use lower case letters.")
    elif any(len(set(term)) < len(term) for term in terms):
        yield view.finding(node, "einsum", f"{equation!r} takes a diagonal", "Multiply by a mask and reduce.")


def scatter(view: View, node: Any) -> Found:
    reduction = attributes(node).get("reduction", b"none").decode(errors="replace")
    if reduction != "none":
        message = f"reduction {reduction!r} is not read: values are overwritten, and nothing is said"
        yield view.finding(
            node, "scatter-reduction", message, "Gather, add and write; or multiply by a one-hot matrix."
        )


def shape(view: View, node: Any) -> Found:
    given = attributes(node)
    if given.get("start", 0) != 0 or "end" in given:
        message = "start and end are not read: the parser gives the whole shape, and says nothing"
        yield view.finding(
            node, "shape-slice", message, "Take the whole Shape and Slice it, as edge.lowering does."
        )


def pad(view: View, node: Any) -> Found:
    mode = attributes(node).get("mode", b"constant").decode(errors="replace")
    if mode not in ("constant", "reflect", "edge"):
        yield view.finding(node, "pad", f"mode {mode!r} is not known", "Use constant, reflect or edge.")
    pads = view.constant(view.operand(node, 1))
    if pads is not None and (pads < 0).any():
        yield view.finding(node, "pad", "negative numbers are refused", "Use Slice to cut.")


def cast(view: View, node: Any) -> Found:
    to, source = attributes(node)["to"], view.type(node.input[0])
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    if TensorProto.UINT8 in (to, source) and not (to in floats or source in floats):
        yield view.finding(node, "type", "uint8 is cast to and from floats only", "Cast to float32 first.")


def unsigned(view: View, node: Any) -> Found:
    """uint8 may come in and go out, through Cast."""
    for name in (*node.input, *node.output):
        if view.type(name) == TensorProto.UINT8 and node.op_type != "Cast":
            message = f"{name!r} is uint8, which only Cast takes"
            yield view.finding(node, "type", message, "Cast to float32 right after the input.")
            return


def power(view: View, node: Any) -> Found:
    if any(view.type(each) in _INTEGERS for each in node.input[1:]):
        message = "the exponent is an integer; the parser takes float32 and float16"
        yield view.finding(node, "type", message, "Write the exponent as a float, as edge.lowering does.")


def pooling(view: View, node: Any) -> Found:
    if node.op_type == "MaxPool" and len(node.output) > 1:
        yield view.finding(node, "pooling", "the second output (indices) is refused", "Use only the first.")


EVERY: dict[str, Callable[[View, Any], Found]] = {
    "Trilu": trilu, "TopK": top_k, "CumSum": cum_sum, "OneHot": one_hot, "Mod": mod, "Squeeze": squeeze,
    "Unsqueeze": constant_inputs((1, "axes")), "Slice": constant_inputs((3, "axes")),
    "ReduceSum": constant_inputs((1, "axes")), "Dropout": constant_inputs((2, "training mode")),
    "Einsum": einsum, "ScatterElements": scatter, "ScatterND": scatter,
    "Shape": shape, "Pad": pad, "Cast": cast, "Pow": power, "MaxPool": pooling,
}  # fmt: skip


def single(view: View) -> Found:
    for inner, node in view.walk():
        if node.domain not in DEFAULT_DOMAINS or not label(node):
            continue
        if node.op_type in EVERY:
            yield from EVERY[node.op_type](inner, node)
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            yield from unsigned(inner, node)


RULES = (single,)
