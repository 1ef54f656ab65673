"""What a tool is: a name, a description and a JSON Schema of its arguments, as MCP has them; and how to call it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from agentforge.kit.errors import InvalidInput
from agentforge.tools.schemas import check_schema

_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_LONGEST_NAME, _LONGEST_DESCRIPTION = 64, 10_000  # characters
_FORM = "agentforge/form"  # in MCP's _meta


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """`form` is an optional regex (Rust's dialect) of arguments in their raw form: narrower than the schema, for
    constrained decoding only."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    form: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or len(self.name) > _LONGEST_NAME or not _NAME.fullmatch(self.name):
            message = f"{self.name!r} is no name of a tool"
            step = f"Take up to {_LONGEST_NAME} of a-z, 0-9 and _, no digit first."
            raise InvalidInput(message, reason="BAD_TOOL", field=f"{self.name!s:.80}.name", next_step=step)
        if not isinstance(self.description, str) or len(self.description) > _LONGEST_DESCRIPTION:
            message = (
                f"the description of the tool {self.name} is no text of up to {_LONGEST_DESCRIPTION:,} characters"
            )
            raise InvalidInput(message, reason="BAD_TOOL", field=f"{self.name}.description")
        check_schema(self.input_schema, self.name)

    @property
    def properties(self) -> Mapping[str, Any]:
        return cast("Mapping[str, Any]", self.input_schema.get("properties", {}))

    @property
    def required(self) -> list[str]:
        return list(self.input_schema.get("required", []))

    @property
    def raw(self) -> str | None:
        """The one required string property, which a call may give as it stands, without JSON around it."""
        if len(self.required) != 1:
            return None
        declared = self.properties.get(self.required[0])
        return self.required[0] if isinstance(declared, Mapping) and declared.get("type") == "string" else None

    def to_mcp(self) -> dict[str, Any]:
        plain = {"name": self.name, "description": self.description, "inputSchema": dict(self.input_schema)}
        return {**plain, "_meta": {_FORM: self.form}} if self.form else plain

    @classmethod
    def from_mcp(cls, definition: object) -> ToolSpec:
        """What else MCP allows (title, annotations, outputSchema, icons) is left aside."""
        if not isinstance(definition, Mapping) or not isinstance(definition.get("name"), str):
            message = "a tool's definition is an object with a name"
            raise InvalidInput(
                message, reason="BAD_TOOL", field="name", next_step=f"This is none: {definition!s:.80}"
            )
        if "inputSchema" not in definition:
            message = f"the tool {definition['name']:.80} has no inputSchema"
            raise InvalidInput(message, reason="BAD_SCHEMA", field=f"{definition['name']:.80}.inputSchema")
        meta = definition.get("_meta")
        form = meta.get(_FORM, "") if isinstance(meta, Mapping) else ""
        described = definition.get("description", "")
        return cls(definition["name"], described, definition["inputSchema"], form if isinstance(form, str) else "")


class Tool(Protocol):
    """Anything with these two. A toolbox runs a tool in a process of its own, which can be killed, unless the tool
    says `trusted = True`: that it ends, and soon, whatever it is given."""

    @property
    def spec(self) -> ToolSpec: ...

    def call(self, arguments: Mapping[str, Any]) -> str: ...


def is_trusted(tool: Tool) -> bool:
    return getattr(tool, "trusted", False) is True


@dataclass(frozen=True, slots=True)
class ToolResult:
    """`text` is what the model reads, whether it went well or not; `error` why it did not, for programs."""

    text: str
    error: str = ""

    def to_mcp(self) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": self.text}], "isError": bool(self.error)}
