"""Sums: `calculator(25 + 17)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge.data import toolcalls
from agentforge.tools.tool import ToolSpec

# Narrower than what can be calculated, so that every expression of this form can be: no division by zero, no number
# beyond 10**30, no zero in front.
_NUMBER, _POSITIVE = "(0|[1-9][0-9]{0,5})", "[1-9][0-9]{0,5}"
_TERM = rf"({_NUMBER}|\({_NUMBER}( ?[-+] ?{_NUMBER}){{1,2}}\))"
FORM = rf"-?{_TERM}( ?[-+*] ?{_TERM}| ?(//|%) ?{_POSITIVE}){{0,3}}"


class Calculator:
    trusted = True  # a fixed walk over an expression of at most 400 characters
    spec = ToolSpec(
        "calculator",
        "Whole numbers with + - * // % and parentheses.",
        {
            "type": "object",
            "properties": {"expression": {"type": "string", "maxLength": 400, "pattern": r"^[-+*/%() 0-9]*$"}},
            "required": ["expression"],
            "additionalProperties": False,
        },
        FORM,
    )

    def call(self, arguments: Mapping[str, Any]) -> str:
        return toolcalls.calculator(arguments["expression"])
