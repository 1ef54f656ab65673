"""Rules for the file as a whole: versions, domains, names, size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx

from agentforge.edge.rules.finding import Finding
from agentforge.edge.rules.table import IR, OPSET
from agentforge.edge.rules.view import DEFAULT_DOMAINS, View, of_model, type_name

LOWER = "Export at opset 18 and pass the model through edge.lowering.lower."
MOST_BYTES = 2**31 - 1  # of one protobuf message
_BYTES = {"float": 4, "int32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "double": 8}


def versions(view: View) -> Iterator[Finding]:
    model = view.model
    for each in model.opset_import:
        if each.domain in DEFAULT_DOMAINS and each.version > OPSET:
            message = f"the file says opset {each.version}; the parser reads {OPSET} and says nothing about more"
            yield of_model("opset", message, LOWER)
    if not any(each.domain in DEFAULT_DOMAINS for each in model.opset_import):
        yield of_model("opset", "the file says no opset of ONNX's own operators", LOWER)
    if model.ir_version > IR:
        message = (
            f"the file's IR version is {model.ir_version}; the release was built with ONNX 1.12, which has {IR}"
        )
        yield of_model("ir-version", message, LOWER)
    for each in model.functions:
        message = f"the file defines a function {each.domain}::{each.name}; the parser does not look into functions"
        yield of_model("function", message, "Inline it (onnx.inliner), as edge.lowering does.", each.name)


def domains(view: View) -> Iterator[Finding]:
    for inner, node in view.walk():
        if node.domain not in DEFAULT_DOMAINS:
            message = (
                f"an operator of the domain {node.domain!r}; the parser looks at the name alone, or for a plugin"
            )
            way = "Export without it; fused and quantised operators of onnxruntime belong into another file."
            yield inner.finding(node, "custom-domain", message, way)


def names(view: View) -> Iterator[Finding]:
    every = [(inner, node) for inner, node in view.walk()]
    counted = Counter(node.name for _, node in every)
    for inner, node in every:
        if not node.name:
            message = "the node has no name, so no precision can be set for it and no error can point at it"
            yield inner.finding(node, "unnamed-node", message, "Give it a name, as edge.lowering does.")
        elif counted[node.name] > 1:
            message = f"{counted[node.name]} nodes have this name; precisions by layer would hit all of them"
            yield inner.finding(node, "duplicate-name", message, "Make names unique, as edge.lowering does.")
            counted[node.name] = 0  # said once


def order(view: View) -> Iterator[Finding]:
    """Every value is made once, and before it is read."""
    known = {each.name for each in (*view.graph.input, *view.graph.initializer)}
    for node in view.graph.node:
        for name in node.input:
            if name and name not in known:
                message = f"reads {name!r}, which nothing before it makes"
                yield view.finding(node, "undefined-value", message, "Export again; sort the nodes by use.")
        for name in node.output:
            if name in known:
                message = f"makes {name!r}, which is there already"
                yield view.finding(node, "duplicate-value", message, "Give each value a name of its own.")
            known.add(name)
    for each in view.graph.output:
        if each.name not in known:
            yield of_model(
                "undefined-value", f"output {each.name!r} is made by no node", "Export again.", each.name
            )


def size(view: View) -> Iterator[Finding]:
    total = sum(_bytes(each) for each in view.graph.initializer)
    if total > MOST_BYTES:
        message = f"the weights have {total:,} bytes, more than the {MOST_BYTES:,} of one ONNX file"
        way = "Take a smaller model, float16 or int8: a Xavier shares its memory with everything else."
        yield of_model("too-large", message, way)


def _bytes(tensor: Any) -> int:
    return int(np.prod(tensor.dims, dtype=np.int64)) * _BYTES.get(type_name(tensor.data_type), 1)


def external(view: View) -> Iterator[Finding]:
    """Data beside the file: they must be there, whole, and below its folder."""
    for tensor in view.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        told = {each.key: each.value for each in tensor.external_data}
        problem = _missing(view, told)
        if problem:
            way = "Put the data file beside the model, or save the model with its weights inside."
            yield of_model("external-data", f"weights {tensor.name!r}: {problem}", way, tensor.name)


def _missing(view: View, told: dict[str, str]) -> str:
    location = told.get("location", "")
    if not location or location.startswith("/") or ".." in location.split("/"):
        return f"their place {location!r} is not below the model's folder"
    if view.base is None:
        return f"they are in {location!r}, and this model is not a file"
    path = view.base / location
    if not path.is_file():
        return f"there is no file {location!r} beside the model"
    needed = int(told.get("offset", 0)) + int(told.get("length", 0))
    if path.stat().st_size < needed:
        return f"{location!r} has {path.stat().st_size:,} bytes, and {needed:,} are needed"
    return ""


def invalid(model_or_path: Any) -> Iterator[Finding]:
    """What ONNX itself says, where no other rule has said it better."""
    try:
        onnx.checker.check_model(model_or_path)
    except (onnx.checker.ValidationError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        yield of_model("invalid", f"ONNX's own checker: {first}", "Export again, or lower again.")


RULES = (versions, domains, names, order, size, external)
