"""google.protobuf.Struct to plain values and back. The config check refuses NaN, by the name of the field."""

from __future__ import annotations

from typing import Any

from google.protobuf import struct_pb2

from agentforge.kit.errors import InvalidInput
from agentforge.kit.records import to_struct

__all__ = ["from_struct", "to_struct"]


def from_struct(struct: struct_pb2.Struct, path: str = "") -> dict[str, Any]:
    """All numbers come as doubles. Protobuf's own limit of nesting bounds the recursion."""
    return {key: _from_value(value, f"{path}.{key}" if path else key) for key, value in struct.fields.items()}


def _from_value(value: struct_pb2.Value, path: str) -> Any:
    match value.WhichOneof("kind"):
        case "null_value":
            return None
        case "number_value":
            return value.number_value
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return from_struct(value.struct_value, path)
        case "list_value":
            return [_from_value(item, f"{path}[{i}]") for i, item in enumerate(value.list_value.values)]
        case _:
            raise InvalidInput(
                f"{path} is a google.protobuf.Value without a value",
                reason="INVALID_VALUE",
                field=path,
                next_step="Set it, or set null_value.",
            )
