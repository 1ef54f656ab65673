"""The tools of one conversation, and the executor of their calls: whatever a model says, it gets a text back."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from agentforge.kit.errors import ForgeError, InvalidInput
from agentforge.tools.calls import answer, harmless, split_body, told
from agentforge.tools.isolated import Isolated
from agentforge.tools.limits import Limits
from agentforge.tools.tool import Tool, ToolResult, ToolSpec, is_trusted


class Toolbox:
    """Tools that are not trusted run in processes of their own (`tools.isolated`), which `close` ends.

    `marks` are the special tokens of a foreign tokenizer, which no result may spell.
    """

    def __init__(self, tools: Sequence[Tool], limits: Limits | None = None, marks: Iterable[str] = ()) -> None:
        self.limits, self._marks = limits or Limits(), tuple(marks)
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            spec: object = tool.spec
            if not isinstance(spec, ToolSpec):
                message = f"{type(tool).__name__} is no tool: its spec is no ToolSpec"
                raise InvalidInput(message, reason="BAD_TOOL", field="spec")
            if spec.name in self._tools:
                message = f"two tools are called {spec.name}"
                step = "Rename one of them, or leave it out."
                raise InvalidInput(message, reason="NAME_CLASH", field=spec.name, next_step=step)
            self._tools[spec.name] = tool if _runs_here(tool) else Isolated.of(tool, self.limits)

    @property
    def specs(self) -> list[ToolSpec]:
        return [tool.spec for tool in self._tools.values()]

    def run(self, body: str) -> ToolResult:
        """The result of what stands between <|tool|> and <|/tool|>. Never raises for what a model or a tool did."""
        if len(body) > self.limits.argument:
            message = f"the call has {len(body):,} characters, of at most {self.limits.argument:,}"
            return self._failure(message, "BAD_CALL")
        call = split_body(body)
        if call is None:
            return self._failure("a call is name(argument)", "BAD_CALL")
        name, argument = call
        tool = self._tools.get(name)
        if tool is None:
            return self._failure(self._unknown(name), "UNKNOWN_TOOL")
        try:
            text = tool.answer(argument) if isinstance(tool, Isolated) else answer(tool, argument)
        except (Exception, SystemExit) as error:  # a tool may raise anything
            reason = error.reason if isinstance(error, ForgeError) else "TOOL_FAILED"
            return self._failure(f"{name}: {told(error)}", reason)
        if len(text) > self.limits.result:
            message = f"{name}: its result has {len(text):,} characters, of at most {self.limits.result:,}"
            return self._failure(message, "RESULT_TOO_LONG")
        return ToolResult(harmless(text.rstrip(), self._marks))

    def close(self) -> None:
        for tool in self._tools.values():
            if isinstance(tool, Isolated):
                tool.close()

    def __enter__(self) -> Toolbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._tools, n=1)
        return f"there is no tool {name:.40}; " + (f"is {near[0]} meant?" if near else f"take {_list(self._tools)}")

    def _failure(self, message: str, reason: str) -> ToolResult:
        """In one short line: it stands in the model's window."""
        line = harmless("error: " + " ".join(message.split()), self._marks)
        return ToolResult(line[: self.limits.error], reason)


def _runs_here(tool: Tool) -> bool:
    return is_trusted(tool) or isinstance(tool, Isolated)


def _list(names: Mapping[str, Tool]) -> str:
    return ", ".join(names) if names else "none: there are no tools"
