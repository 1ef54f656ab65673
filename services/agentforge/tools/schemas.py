"""JSON Schemas of arguments (Draft 2020-12): checked when a tool is declared, so that calls find them in order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from agentforge.kit.errors import InvalidInput

_LARGEST = 100_000  # characters of JSON
_DATA = frozenset({"const", "enum", "default", "examples"})  # below these stand values, not schemas
_ELSEWHERE = ("$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef")  # would give $ref another meaning


def check_schema(schema: object, tool: str) -> None:
    """InvalidInput BAD_SCHEMA that names the tool and the field, unless calls can be judged by this schema."""
    if not isinstance(schema, Mapping) or schema.get("type") != "object":
        raise _bad(tool, "type", 'it is not of {"type": "object"}', "Arguments are named: declare an object.")
    _check_json(schema, tool)
    try:
        Draft202012Validator.check_schema(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    except SchemaError as error:
        raise _bad(tool, ".".join(map(str, error.absolute_path)), error.message, _MEND) from None
    missing = [name for name in schema.get("required", []) if name not in schema.get("properties", {})]
    if missing:
        raise _bad(tool, "required", f"it requires {missing[0]!r}, which is no property", _MEND)
    _check_references(schema, tool)
    try:
        Draft202012Validator(schema).is_valid({})
    except Exception as error:  # a $ref to itself: RecursionError
        raise _bad(tool, "$ref", f"it cannot be applied ({type(error).__name__})", _MEND) from None


def complaint(schema: Mapping[str, Any], arguments: object) -> str:
    """What is wrong with the arguments of a call, in a few words; nothing where they are right."""
    error = best_match(Draft202012Validator(schema).iter_errors(arguments))
    if error is None:
        return ""
    where = ".".join(map(str, error.absolute_path))
    return f"{where}: {error.message}" if where else str(error.message)


_MEND = "Schemas are JSON Schema, Draft 2020-12."


def _check_json(schema: Mapping[str, Any], tool: str) -> None:
    try:
        size = len(json.dumps(schema, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise _bad(tool, "", f"it is not JSON ({error})", _MEND) from None
    if size > _LARGEST:
        raise _bad(tool, "", f"it has {size:,} characters of at most {_LARGEST:,}", "Shorten it.")


def _check_references(schema: Mapping[str, Any], tool: str) -> None:
    resource = DRAFT202012.create_resource(schema)
    resolver = Registry().with_resource("", resource).resolver()
    for where, keyword, value in _keywords(schema, ""):
        if keyword in _ELSEWHERE:
            raise _bad(tool, where, f"{keyword} is not supported", "Use $ref to #/$defs/... of the same schema.")
        if keyword == "$ref" and not value.startswith("#"):
            raise _bad(tool, where, f"it refers to another document ({value:.80})", "Put it under #/$defs.")
        try:
            if keyword == "$ref":
                resolver.lookup(value)
        except Unresolvable:
            raise _bad(tool, where, f"there is no {value:.80}", "Put it under #/$defs.") from None


def _keywords(schema: object, where: str) -> Iterator[tuple[str, str, str]]:
    """(path, keyword, value) of all that points or is pointed at. A property of that name holds no string."""
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            place = f"{where}.{key}" if where else str(key)
            if isinstance(value, str) and (key == "$ref" or key in _ELSEWHERE):
                yield place, key, value
            elif key not in _DATA or where.rpartition(".")[2] == "properties":
                yield from _keywords(value, place)
    elif isinstance(schema, list | tuple):
        for number, each in enumerate(schema):
            yield from _keywords(each, f"{where}.{number}")


def _bad(tool: str, field: str, why: str, step: str) -> InvalidInput:
    place = f"{tool}.inputSchema.{field}" if field else f"{tool}.inputSchema"
    message = f"the schema of the tool {tool} is invalid at {place}: {why[:300]}"
    return InvalidInput(message, reason="BAD_SCHEMA", field=place, next_step=step)
