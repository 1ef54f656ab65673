"""Rules for If, Loop and Scan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentforge.edge.rules.finding import Finding
from agentforge.edge.rules.view import Dims, View, attributes, dims_of

Found = Iterator[Finding]
_UNROLL = "Write out the steps: a fixed number is known when the model is exported."


def control(view: View) -> Found:
    for inner, node in view.walk():
        if node.op_type == "If":
            yield from _if(inner, node)
        elif node.op_type == "Loop":
            yield from _loop(inner, node)
        elif node.op_type == "Scan":
            yield from _scan(inner, node)


def _if(view: View, node: Any) -> Found:
    given = attributes(node)
    one, other = given["then_branch"], given["else_branch"]
    way = "Compute both and choose with Where."
    if len(one.output) != len(other.output):
        message = f"the branches have {len(one.output)} and {len(other.output)} outputs"
        yield view.finding(node, "if-branches", message, way)
        return
    for left, right in zip(one.output, other.output, strict=True):
        if left.name == right.name:
            message = f"both branches call an output {left.name!r}; names must differ"
            yield view.finding(node, "if-branches", message, "Rename it in one of them.")
        shapes = _shape(view, one, left), _shape(view, other, right)
        if not _broadcast(*shapes):
            message = f"the branches make shapes {shapes[0]} and {shapes[1]}, which do not broadcast"
            yield view.finding(node, "if-branches", message, way)


def _shape(view: View, graph: Any, value: Any) -> Dims | None:
    dims = dims_of(value.type)
    return dims if dims is not None else View(view.model, graph, view.base, view).shape(value.name)


def _broadcast(one: Dims | None, other: Dims | None) -> bool:
    if one is None or other is None:
        return True
    pairs = zip(reversed(one), reversed(other), strict=False)
    return all(not isinstance(a, int) or not isinstance(b, int) or a == b or 1 in (a, b) for a, b in pairs)


def _loop(view: View, node: Any) -> Found:
    body = attributes(node)["body"]
    states = len(node.input) - 2
    trips = view.operand(node, 0)
    if len(body.output) > states + 1 and not trips:
        message = "collects an output of each step without a trip count: the engine gives it 1,024 places"
        yield view.finding(node, "loop", message, _UNROLL)
    if view.tensor(trips) is None:
        yield view.finding(node, "loop", "the number of steps is not a constant", _UNROLL)


def _scan(view: View, node: Any) -> Found:
    given = attributes(node)
    if len(node.input) == given["num_scan_inputs"]:
        yield view.finding(node, "scan", "has no state, and the importer asks for one", _UNROLL)
    axes = [*given.get("scan_input_axes", ()), *given.get("scan_output_axes", ())]
    if any(axis < 0 for axis in axes):
        message = "an axis is negative: the importer counts it from 8 dimensions, whatever the rank"
        yield view.finding(node, "scan", message, "Count axes from the front.")


RULES = (control,)
