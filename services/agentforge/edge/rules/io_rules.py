"""Rules for what goes in and comes out, and for the shape profiles that an engine is built with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from onnx import TensorProto

from agentforge.edge.rules.finding import Finding
from agentforge.edge.rules.view import Dims, View, dims_of, of_model, type_name

Shape = Sequence[int]
Profile = Mapping[str, tuple[Shape, Shape, Shape]]  # input -> its least, best and greatest shape
_GOOD = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT32, TensorProto.INT8, TensorProto.BOOL}
_WIDE = {TensorProto.INT64: "int32", TensorProto.DOUBLE: "float32"}
MOST_DIMS = 8


def _ends(view: View) -> Iterator[tuple[str, Any]]:
    inside = {each.name for each in view.graph.initializer}
    yield from (("input", each) for each in view.graph.input if each.name not in inside)
    yield from (("output", each) for each in view.graph.output)


def types(view: View) -> Iterator[Finding]:
    for way, value in _ends(view):
        if not value.type.HasField("tensor_type"):
            kind = str(value.type.WhichOneof("value") or "unknown type").removesuffix("_type")
            yield of_model(
                "sequence-type", f"{way} {value.name!r} is of kind {kind}", "Use plain tensors only.", value.name
            )
            continue
        number = value.type.tensor_type.elem_type
        if number in _WIDE:
            message = f"{way} {value.name!r} is {type_name(number)}, which the engine makes {_WIDE[number]}"
            way_out = f"Make it {_WIDE[number]} in the file, as edge.lowering does."
            yield of_model("wide-io", message, way_out, value.name)
        elif number not in _GOOD and number != TensorProto.UINT8:
            message = f"{way} {value.name!r} is {type_name(number)}, a type that the parser has not"
            yield of_model("type", message, "Use float32, float16, int32, int8 or bool.", value.name)


def dimensions(view: View) -> Iterator[Finding]:
    for way, value in _ends(view):
        dims = dims_of(value.type)
        if not value.type.HasField("tensor_type"):
            continue
        if dims is None and way == "input":
            message = f"input {value.name!r} has no shape, and its rank must be known"
            yield of_model(
                "unnamed-dimension", message, "Export with a named Dim for each dynamic one.", value.name
            )
        for place, each in enumerate(dims or ()):
            if each is None and way == "input":
                message = f"dimension {place} of input {value.name!r} is dynamic and has no name"
                yield of_model("unnamed-dimension", message, "Export with named Dims: batch, time.", value.name)
        if dims is not None and len(dims) > MOST_DIMS:
            message = f"{way} {value.name!r} has {len(dims)} dimensions; an engine has at most {MOST_DIMS}"
            yield of_model("rank", message, "Join dimensions.", value.name)


def profiles(view: View, given: Mapping[str, Profile]) -> Iterator[Finding]:
    """Each dynamic input has a range in each profile that fits its shape; one name is one size."""
    inputs = {value.name: dims_of(value.type) or [] for way, value in _ends(view) if way == "input"}
    for name, profile in given.items():
        for each, dims in inputs.items():
            if each not in profile and any(not isinstance(size, int) for size in dims):
                message = f"profile {name!r} has no shapes for the dynamic input {each!r}"
                yield of_model("profile", message, "Give its least, best and greatest shape.", each)
        for each, shapes in profile.items():
            problem = _misfit(inputs.get(each), shapes)
            if problem:
                message = f"profile {name!r}, input {each!r}: {problem}"
                yield of_model("profile", message, "Give shapes that the input can have.", each)
        yield from _disagreeing(name, profile, inputs)


def _misfit(dims: Dims | None, shapes: tuple[Shape, Shape, Shape]) -> str:
    if dims is None:
        return "the model has no such input"
    if any(len(each) != len(dims) for each in shapes):
        return f"it has {len(dims)} dimensions"
    for place, (size, least, best, most) in enumerate(zip(dims, *shapes, strict=True)):
        if not 0 <= least <= best <= most:
            return f"dimension {place} goes {least}, {best}, {most}, which does not rise"
        if isinstance(size, int) and {least, best, most} != {size}:
            return f"dimension {place} is always {size}"
    return ""


def _disagreeing(name: str, profile: Profile, inputs: Mapping[str, Dims]) -> Iterator[Finding]:
    known: dict[str, tuple[str, tuple[int, ...]]] = {}
    for each, shapes in profile.items():
        dims = inputs.get(each) or []
        if any(len(shape) != len(dims) for shape in shapes):
            continue
        for place, size in enumerate(dims):
            if isinstance(size, str):
                here = tuple(shape[place] for shape in shapes)
                first, there = known.setdefault(size, (each, here))
                if here != there:
                    message = f"profile {name!r}: {size!r} is {there} in {first!r} and {here} in {each!r}"
                    yield of_model("profile", message, "One name is one size.", each)
