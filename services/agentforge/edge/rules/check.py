"""The static check of a file against the table of TensorRT 8.5. It reads the file, and builds no engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from agentforge.edge.rules import control_rules, io_rules, model_rules, node_rules, op_rules, quantised_rules
from agentforge.edge.rules.finding import RESULT, Finding
from agentforge.edge.rules.io_rules import Profile
from agentforge.edge.rules.view import View, legible, of_model
from agentforge.kit.errors import DataLoss, InvalidInput, NotFound

_RULES = (
    *model_rules.RULES, io_rules.types, io_rules.dimensions, *node_rules.RULES, *op_rules.RULES,
    *quantised_rules.RULES, *control_rules.RULES,
)  # fmt: skip

_ASTRAY = (AttributeError, IndexError, KeyError, TypeError, ValueError)  # what rules do on nodes that miss parts


def check_tensorrt(model_or_path: Any, profiles: Mapping[str, Profile] | None = None) -> list[Finding]:
    """All that TensorRT 8.5 would refuse or misread, as far as the file tells. `profiles`: by name, of inputs."""
    path = Path(model_or_path) if isinstance(model_or_path, str | Path) else None
    if path is not None and path.is_file() and path.stat().st_size > model_rules.MOST_BYTES:
        message = f"the file has {path.stat().st_size:,} bytes, more than the {model_rules.MOST_BYTES:,} of ONNX"
        return [of_model("too-large", message, "Keep the weights below it; float16 halves them.")]
    model = model_or_path if path is None else _read(path)
    known = _inferred(model)
    view = View(known, known.graph, path.parent if path else None)
    try:
        found = [each for rule in _RULES for each in rule(view)]
    except _ASTRAY:
        found = list(model_rules.invalid(str(path) if path else model))
        if not found:  # then the rules are wrong, and not the file
            raise
        return found
    if profiles:
        found += io_rules.profiles(view, profiles)
    return found or list(model_rules.invalid(str(path) if path else model))


def require_tensorrt(path: str | Path, profiles: Mapping[str, Profile] | None = None) -> str:
    """What a clean file may be called; else one error with all findings."""
    found = check_tensorrt(path, profiles)
    if found:
        raise InvalidInput.of([each.violation() for each in found])
    return RESULT


def _read(path: Path) -> Any:
    way = "Export the model again; where it was copied, compare its digest with the manifest."
    if not path.is_file():
        raise NotFound(f"there is no file {path.name!r}", field=str(path), next_step="Mend the path.")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        message = f"{path.name!r} is not an ONNX file, or a damaged one: {error}"
        raise DataLoss(message, reason="NOT_ONNX", field=str(path), next_step=way) from error
    empty = not model.graph.node and not model.graph.output
    if empty or not _legible(model):
        message = f"{path.name!r} " + ("holds no graph" if empty else "has names that are no text: it is damaged")
        raise DataLoss(message, reason="NOT_ONNX", field=str(path), next_step=way)
    return model


def _legible(model: Any) -> bool:
    try:
        return legible(View(model, model.graph))
    except (TypeError, ValueError):
        return False


def _inferred(model: Any) -> Any:
    """With types and shapes, as far as ONNX can tell; a graph that it cannot follow is checked as it is."""
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return model
