"""`python(sum([5, 8, 9]))`: what a model reads of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge.kit.errors import InvalidInput
from agentforge.tools.sandbox.launch import check_machine, run_python
from agentforge.tools.sandbox.limits import Limits
from agentforge.tools.tool import ToolSpec

SPEC = ToolSpec(
    name="python",
    description="Runs Python. Gives what it prints; the value of a last expression is printed.",
    input_schema={
        "type": "object",
        "properties": {"code": {"type": "string", "description": "An expression, or statements."}},
        "required": ["code"],
        "additionalProperties": False,
    },
)


class PythonTool:
    """Made only where there is a sandbox for it: MissingTool otherwise."""

    trusted = True  # it is the code that is not; that has a process of its own, which ends in time

    def __init__(self, limits: Limits | None = None) -> None:
        check_machine()
        self.limits = limits or Limits()

    @property
    def spec(self) -> ToolSpec:
        return SPEC

    def call(self, arguments: Mapping[str, Any]) -> str:
        outcome = run_python(arguments["code"], self.limits)
        if outcome.failure is None:
            return outcome.text
        raise InvalidInput(outcome.message, reason=f"PYTHON_{outcome.failure.upper()}", field="code")
