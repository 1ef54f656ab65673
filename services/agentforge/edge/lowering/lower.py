"""From opset 18 to what TensorRT 8.5 reads: opset 17, IR 8, and only operators of its table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import onnx.inliner

from agentforge.edge.lowering import fold, infinities, integers, masks, norms, opset, tidy, widths
from agentforge.edge.lowering.draft import REASON, CannotLower, Draft
from agentforge.edge.rules import table
from agentforge.edge.rules.view import DEFAULT_DOMAINS, View, legible, subgraphs
from agentforge.kit.errors import InvalidInput, Violation

NOTES = "lowering"  # key of the model's metadata: what was changed in numbers, a line each
NEWEST = 23  # the opsets whose changes were gone through
_REPORT = "Keep the model's file and report it; meanwhile export for onnxruntime."
_REWRITES: dict[str, Callable[[Draft], None]] = {**opset.REWRITES, **norms.REWRITES, **masks.REWRITES}


def lower(model: Any) -> Any:
    """A new model that computes the same. Constants that had to be clamped or softened are told in its metadata."""
    version = _version(model)
    _whole(model)
    _sound(model, "the model is not valid ONNX", "Export it again.")
    if not legible(View(model, model.graph)):
        raise InvalidInput("the model has names that are no text", reason=REASON, next_step="Export it again.")
    lowered = onnx.ModelProto()
    lowered.CopyFrom(onnx.inliner.inline_local_functions(model) if model.functions else model)
    tidy.hoist(lowered.graph)
    view = _view(lowered)
    fold.fold(view)
    view = View(view.model, view.model.graph)
    refused: list[Violation] = []
    _rewrite(view, version, refused)
    if refused:
        raise InvalidInput.of(refused)
    _stamp(view.model)
    notes = _numbers(view.model)
    tidy.dead(view.model.graph)
    view = _view(view.model)
    tidy.casts(view)
    tidy.dead(view.model.graph)
    tidy.names(view)
    _told(view.model, notes)
    _sound(view.model, "what lowering made is not valid", _REPORT)
    return view.model


def notes(model: Any) -> list[str]:
    """What lowering changed in numbers."""
    told = {each.key: each.value for each in model.metadata_props}
    return [each for each in told.get(NOTES, "").split("\n") if each]


def _version(model: Any) -> int:
    versions = [each.version for each in model.opset_import if each.domain in DEFAULT_DOMAINS]
    if not versions or max(versions) > NEWEST:
        message = f"the model says opset {max(versions, default='nothing')}; 18 to {NEWEST} can be lowered"
        raise InvalidInput(message, reason=REASON, field="opset", next_step="Export at opset 18.")
    return int(max(versions))


def _whole(model: Any) -> None:
    for each in model.graph.initializer:
        if each.data_location == onnx.TensorProto.EXTERNAL:
            message = f"weights {each.name!r} are outside of the model, and constants must be read"
            way = "Load it with its external data (onnx.load does)."
            raise InvalidInput(message, reason=REASON, field=each.name, next_step=way)


def _sound(model: Any, what: str, next_step: str) -> None:
    """Attributes, types and shapes agree everywhere."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, TypeError, ValueError) as error:
        message = f"{what}: {str(error).strip().splitlines()[0]}"
        raise InvalidInput(message, reason=REASON, field="model", next_step=next_step) from error


def _view(model: Any) -> View:
    try:
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        message = f"ONNX finds the graph contradictory: {str(error).strip().splitlines()[0]}"
        raise InvalidInput(message, reason=REASON, field="model", next_step="Export it again.") from error
    return View(model, model.graph)


def _rewrite(view: View, version: int, refused: list[Violation]) -> None:
    made: list[Any] = []
    for node in view.graph.node:
        for inner in subgraphs(node):
            _rewrite(View(view.model, inner, view.base, view), version, refused)
        draft = Draft(view, node)
        try:
            if node.domain in DEFAULT_DOMAINS and node.op_type in _REWRITES:
                _REWRITES[node.op_type](draft)
            made += draft.nodes or [node]
            for each in draft.nodes or [node]:
                _known(each, version)
        except CannotLower as error:
            refused.append(error.violation)
    ready = [onnx.NodeProto.FromString(each.SerializeToString()) for each in made]
    del view.graph.node[:]
    view.graph.node.extend(ready)


def _known(node: Any, version: int) -> None:
    """It is an operator of the table, and all that it says can be said at opset 17."""
    if node.domain not in DEFAULT_DOMAINS:
        message = f"an operator of the domain {node.domain!r}"
        raise CannotLower(node, message, "Export without it: the engine has only ONNX's own.")
    if not table.supported(node.op_type) or (node.op_type == "GridSample" and version >= 20):
        raise CannotLower(node, "TensorRT 8.5 has not this operator", table.way_out(node.op_type))
    schema = onnx.defs.get_schema(node.op_type, table.OPSET, "")
    newer = onnx.defs.get_schema(node.op_type, max(version, table.OPSET), "").attributes
    for each in list(node.attribute):
        if each.name in schema.attributes:
            continue
        if each.name in newer and _plain(each, newer[each.name]):
            node.attribute.remove(each)
        else:
            raise CannotLower(node, f"opset 17 has no attribute {each.name!r}", "Export without it.")
    if len(node.input) > schema.max_input:
        message = f"opset 17 has {schema.max_input} inputs, and this has {len(node.input)}"
        raise CannotLower(node, message, "Export without it.")


def _plain(given: Any, known: Any) -> bool:
    """The attribute says what is so without it."""
    default = known.default_value
    return bool(default.type and onnx.helper.get_attribute_value(default) == onnx.helper.get_attribute_value(given))


def _stamp(model: Any) -> None:
    del model.opset_import[:]
    model.opset_import.add(domain="", version=table.OPSET)
    model.ir_version = table.IR
    for _, node in View(model, model.graph).walk():
        node.domain = ""


def _numbers(model: Any) -> list[str]:
    """Types and values that an engine has not."""
    del model.graph.value_info[:]
    said = widths.floats(View(model, model.graph)) + widths.clamp(View(model, model.graph))
    view = _view(model)
    integers.narrow(view)
    model.CopyFrom(view.model)
    try:
        said += infinities.soften(View(model, model.graph))
    except CannotLower as error:
        raise InvalidInput.of([error.violation]) from error
    return said


def _told(model: Any, lines: list[str]) -> None:
    kept = [each for each in model.metadata_props if each.key != NOTES]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    if lines:
        model.metadata_props.add(key=NOTES, value="\n".join(lines))
