"""Checks of the ONNX files: well formed, of the opset that the manifest says, with the state of graph.json."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agentforge.edge.graph.facts import FORMAT, GraphFacts
from agentforge.edge.package.manifest import Manifest, Variant
from agentforge.edge.package.tensorrt_files import check_tensorrt_file
from agentforge.edge.package.verdict import Verification
from agentforge.kit.errors import DataLoss

_FACTS = "models/graph.json"
_FOLDER = "models/"
_MOST_WINDOWS = 4_096  # layers in all passes
Port = tuple[str, str, tuple[str | int, ...]]  # name, type, shape


def check_graphs(top: Path, manifest: Manifest, found: Verification) -> None:
    facts = None
    with found.about("graph.json"):
        facts = read_facts((top / _FACTS).read_bytes())
        _check_listed(manifest)
        found.ok("graph.json", f"keys and values of {facts.windows} windows, {_memory(facts)}", _FACTS)
    try:
        onnx = importlib.import_module("onnx")
    except ModuleNotFoundError:
        found.not_checked("graphs", "the package 'onnx' is not installed", "pip install 'agentforge[onnx]'")
        return
    for name, variant in sorted(manifest.variants.items()):
        if f"{_FOLDER}{name}" in manifest.files:
            with found.about(name):
                model = _load(onnx, top / _FOLDER / name)
                fact = _check_graph(onnx, model, name, variant, facts)
                found.ok(name, fact, _FOLDER + name)
                if variant.meant_for == "tensorrt":
                    check_tensorrt_file(model, name, top, found)


def read_facts(data: bytes) -> GraphFacts:
    try:
        told = json.loads(data)
        if told["format"] != FORMAT:
            raise ValueError(f"only format {FORMAT} is known here")
        facts = TypeAdapter(GraphFacts).validate_json(data, strict=True)
        if strange := set(told) ^ set(facts.record):
            raise ValueError(f"{min(strange)} is missing or unknown")
        if not 1 <= facts.windows <= _MOST_WINDOWS:
            raise ValueError(f"windows: 1 to {_MOST_WINDOWS}, not {facts.windows}")
        return facts
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = f"{_FACTS} does not describe a graph: {_words(error)}"
        raise DataLoss(message, reason="BAD_GRAPH_JSON", field=_FACTS) from None


def _words(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {error}"
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _check_listed(manifest: Manifest) -> None:
    files = {path.removeprefix(_FOLDER) for path in manifest.files if path.endswith(".onnx")}
    for name in sorted(files ^ manifest.variants.keys()):
        what = "has no entry in the manifest's variants" if name in files else "is a variant without a file"
        raise DataLoss(f"{_FOLDER}{name} {what}", reason="BAD_VARIANTS", field=_FOLDER + name)


def _load(onnx: Any, file: Path) -> Any:
    try:
        model = onnx.load(file, load_external_data=False)
    except Exception as error:  # protobuf's own, which differs between its builds
        raise _bad(file.name, f"is no ONNX file: {error}") from None
    outside = [each.name for each in _tensors(model.graph) if each.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        raise _bad(file.name, f"keeps {outside[0]!r} in another file")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise _bad(file.name, f"is refused by onnx.checker: {str(error).splitlines()[0][:300]}") from None
    return model


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _tensors(inner)


def _check_graph(onnx: Any, model: Any, name: str, variant: Variant, facts: GraphFacts | None) -> str:
    opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)
    if opset != variant.opset:
        raise _bad(name, f"is of opset {opset}; the manifest says {variant.opset}", "WRONG_OPSET")
    if facts is not None:
        _check_ports(name, "input", _ports(onnx, model.graph.input), facts.inputs())
        _check_ports(name, "output", _ports(onnx, model.graph.output), facts.outputs())
    return f"opset {opset}, {len(model.graph.node):,} nodes; onnx.checker; inputs and outputs as graph.json says"


def _ports(onnx: Any, values: Iterable[Any]) -> Iterator[Port]:
    kinds = {onnx.TensorProto.INT32: "int32", onnx.TensorProto.FLOAT: "float32"}
    for value in values:
        tensor = value.type.tensor_type
        shape = tuple(dim.dim_param or dim.dim_value for dim in tensor.shape.dim)
        yield value.name, kinds.get(tensor.elem_type, f"type {tensor.elem_type}"), shape


def _check_ports(name: str, what: str, here: Iterable[Port], wanted: Iterable[Port]) -> None:
    have, want = ({port[0]: port[1:] for port in ports} for ports in (here, wanted))
    for port in sorted(have.keys() ^ want.keys()):
        why = (
            f"lacks the {what} {port}" if port in want else f"has the {what} {port}, which graph.json does not know"
        )
        raise _bad(name, why, "WRONG_STATE")
    for port, (kind, shape) in want.items():
        if not _fits(have[port], (kind, shape)):
            raise _bad(
                name, f"has the {what} {port} as {have[port]}; graph.json says {(kind, shape)}", "WRONG_STATE"
            )


def _fits(have: tuple[str, tuple[str | int, ...]], want: tuple[str, tuple[str | int, ...]]) -> bool:
    """Sizes must agree; names of dimensions are for people, and an output's may be a formula."""
    (kind, shape), (wanted, sizes) = have, want
    pairs = zip(shape, sizes, strict=False)
    same = all(size == given or (isinstance(size, str) and isinstance(given, str)) for given, size in pairs)
    return kind == wanted and len(shape) == len(sizes) and same


def _memory(facts: GraphFacts) -> str:
    return f"memory in layers {', '.join(map(str, facts.memory.layers))}" if facts.memory else "no memory"


def _bad(name: str, why: str, reason: str = "BAD_GRAPH") -> DataLoss:
    return DataLoss(f"{name} {why}", reason=reason, field=_FOLDER + name)
