"""Tools from the outside: `module:attribute`, and the tool lists of MCP servers as JSON files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentforge.kit.errors import FailedPrecondition, InvalidInput, NotFound
from agentforge.tools.isolated import Isolated
from agentforge.tools.limits import Limits
from agentforge.tools.references import found_at
from agentforge.tools.tool import Tool, ToolSpec

_LARGEST = 10 << 20  # bytes of a tool list


def load_tool(reference: str, *, trusted: bool = False, limits: Limits | None = None) -> Tool:
    """In a process of its own; in this one where `trusted`, with nothing between a hanging tool and the caller."""
    if not trusted:
        return Isolated.at(reference, limits or Limits())
    tool = found_at(reference)
    return _Trusted(tool)


@dataclass(frozen=True)
class _Trusted:
    tool: Tool
    trusted: bool = True

    @property
    def spec(self) -> ToolSpec:
        return self.tool.spec

    def call(self, arguments: Mapping[str, Any]) -> str:
        return self.tool.call(arguments)


@dataclass(frozen=True)
class Definition:
    """A tool that is only described here: something to tell models of, and nothing to call."""

    spec: ToolSpec

    def call(self, arguments: Mapping[str, Any]) -> str:
        message = f"{self.spec.name} is only described here: nothing is there to run it"
        step = "Bring its implementation as module:attribute."
        raise FailedPrecondition(message, reason="NOT_RUNNABLE", field=self.spec.name, next_step=step)


def read_definitions(path: Path) -> list[Definition]:
    """What an MCP server answers to tools/list: `{"tools": [...]}`, the list alone, or the whole JSON-RPC reply."""
    given = _json(path)
    for key in ("result", "tools"):
        given = given[key] if isinstance(given, dict) and key in given else given
    if not isinstance(given, list) or not given:
        message = f"{path} holds no list of tools"
        step = 'Write {"tools": [{"name": ..., "description": ..., "inputSchema": ...}]}.'
        raise InvalidInput(message, reason="BAD_TOOL", field=str(path), next_step=step)
    return [Definition(ToolSpec.from_mcp(each)) for each in given]


def _json(path: Path) -> Any:
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= _LARGEST else ""
    except FileNotFoundError:
        raise NotFound(f"there is no {path}", reason="NO_TOOLS", field=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", reason="UNREADABLE", field=str(path)) from error
    if size > _LARGEST:
        raise InvalidInput(
            f"{path} has {size:,} bytes, of at most {_LARGEST:,}", reason="TOO_LARGE", field=str(path)
        )
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is no JSON: {error}", reason="BAD_TOOL", field=str(path)) from None
