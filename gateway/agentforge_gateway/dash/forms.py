"""A phase's JSON Schema as fields of a form, and a filled form as the fields that differ from the preset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from agentforge.kit.errors import Violation

_NOTHING = object()
_BOUNDS = (
    ("minimum", "at least"),
    ("exclusiveMinimum", "above"),
    ("maximum", "at most"),
    ("exclusiveMaximum", "below"),
)


@dataclass(frozen=True, slots=True)
class Field:
    """`path` is dotted, as in `--set`; `preset` is what an empty field stands for."""

    path: str
    preset: str
    choices: tuple[str, ...]  # empty: free text
    hint: str


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that stand under one name: "train", "model", …; the phase's own have none."""

    name: str
    fields: list[Field]


def groups_of(schema: Mapping[str, Any], preset: Mapping[str, Any]) -> list[Group]:
    """What the preset sets comes first: a schema that came by gRPC has lost its order."""
    groups: dict[str, list[Field]] = {"": []}
    leaves = _leaves(schema, schema, _Leaf("", {}, _NOTHING, False))
    for leaf in sorted(leaves, key=lambda leaf: (_at(preset, leaf.path) is _NOTHING, leaf.path)):
        name = leaf.path.partition(".")[0] if "." in leaf.path else ""
        groups.setdefault(name, []).append(_field(leaf, preset))
    return [Group(name, groups[name]) for name in sorted(groups) if groups[name]]


def read_value(text: str, path: str) -> Any:
    """As `--set` reads it: a YAML scalar or list."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        message = f"{path} cannot be read: {text[:80]!r} is no value"
        raise ValueError(message) from None


def overrides(filled: Mapping[str, str]) -> tuple[dict[str, dict[str, Any]], list[Violation]]:
    """Of "phase.path" to text: what each phase is given besides its preset. Empty fields say nothing."""
    config: dict[str, dict[str, Any]] = {}
    violations = []
    for name, text in filled.items():
        if not text.strip():
            continue
        try:
            _put(config, name.split("."), read_value(text, name))
        except ValueError as error:
            violations.append(
                Violation(name, str(error), "INVALID_VALUE", "Write it as in YAML: 3, 0.5, true, [1, 2].")
            )
    return config, violations


def _put(config: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        config = config.setdefault(key, {})
        if not isinstance(config, dict):
            raise ValueError(f"{'.'.join(path)} lies in a part that another field sets as a whole")
    config[path[-1]] = value


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A field of the schema: `default` is None where the whole part that it belongs to is absent by default."""

    path: str
    schema: Mapping[str, Any]
    default: Any
    absent: bool


def _leaves(schema: Mapping[str, Any], root: Mapping[str, Any], above: _Leaf) -> Iterator[_Leaf]:
    """`above`: the part that holds it; its default says more than the schema's own."""
    schema = _resolved(schema, root)
    default = schema.get("default") if above.default is _NOTHING else above.default
    properties = schema.get("properties")
    if properties is None:
        yield _Leaf(above.path, schema, default, above.absent)
        return
    absent = above.absent or (default is None and bool(schema.get("nullable")))
    inner_defaults = default if isinstance(default, Mapping) else {}
    for key, inner in properties.items():
        path = f"{above.path}.{key}" if above.path else key
        yield from _leaves(inner, root, _Leaf(path, {}, inner_defaults.get(key, _NOTHING), absent))


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """With what it refers to. Of a part that may also be absent (null), the part."""
    parts = [part for part in schema.get("anyOf", ()) if part.get("type") != "null"]
    if len(parts) == 1:
        outer = {key: value for key, value in schema.items() if key != "anyOf"}
        schema = {**_resolved(parts[0], root), **outer, "nullable": True}
    if "$ref" in schema:
        inner = root["$defs"][schema["$ref"].rpartition("/")[2]]
        schema = {**_resolved(inner, root), **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def _field(leaf: _Leaf, preset: Mapping[str, Any]) -> Field:
    schema = leaf.schema
    choices = [_text(choice) for choice in schema.get("enum", ())]
    if schema.get("type") == "boolean":
        choices = ["true", "false"]
    if choices and schema.get("nullable"):
        choices.append("null")
    bounds = [f"{word} {_text(schema[key])}" for key, word in _BOUNDS if key in schema and abs(schema[key]) < 2**53]
    fixed = _at(preset, leaf.path)
    absent = leaf.absent and fixed is _NOTHING
    said = [
        str(schema.get("description", "")).rstrip("."), ", ".join(bounds),
        "null for none" if schema.get("nullable") else "", "absent unless one of its part is set" if absent else "",
    ]  # fmt: skip
    shown = "" if absent else _text(leaf.default if fixed is _NOTHING else fixed)
    return Field(leaf.path, shown, tuple(choices), "; ".join(filter(None, said)))


def _at(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for key in path.split("."):
        if not isinstance(found, Mapping) or key not in found:
            return _NOTHING
        found = found[key]
    return found


def _text(value: Any) -> str:
    if isinstance(value, str) and _reads_as(value):
        return value
    return (
        yaml.safe_dump(_plain(value), default_flow_style=True, width=10**6, allow_unicode=True)
        .strip()
        .removesuffix("\n...")
        .strip()
    )


def _reads_as(text: str) -> bool:
    """Whether it may stand without quotes: "null", "1.6" or a newline at the end may not."""
    try:
        return bool(yaml.safe_load(text) == text)
    except yaml.YAMLError:
        return False


def _plain(value: Any) -> Any:
    """Whole numbers as such: by gRPC every number comes as a double."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
