"""`module:attribute`: how code from the outside is named."""

from __future__ import annotations

import importlib
from typing import Any

from agentforge.kit.errors import InvalidInput
from agentforge.tools.tool import Tool, ToolSpec


def imported(reference: str, field: str = "tool") -> Any:
    """The attribute; a class, or a function, is called without arguments to make the object."""
    module, colon, attribute = reference.partition(":")
    if not (module and colon and attribute):
        message = f"{reference!r} does not name code"
        raise InvalidInput(message, reason="BAD_REFERENCE", field=field, next_step="Write module:attribute.")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        return found() if isinstance(found, type) or type(found).__name__ == "function" else found
    except (Exception, SystemExit) as error:  # importing runs code, which may raise anything
        message = f"{reference} cannot be had: {type(error).__name__}: {error}"
        step = "Install the package that has it, or correct the name."
        raise InvalidInput(message, reason="BAD_REFERENCE", field=field, next_step=step) from error


def found_at(reference: str) -> Tool:
    tool = imported(reference)
    if not isinstance(getattr(tool, "spec", None), ToolSpec) or not callable(getattr(tool, "call", None)):
        step = "It needs `spec`, a ToolSpec, and `call(arguments)`."
        raise InvalidInput(f"{reference} is no tool", reason="BAD_TOOL", field="tool", next_step=step)
    checked: Tool = tool
    return checked
