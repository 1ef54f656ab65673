"""Which tools are baked in, how they are told of, and on which tasks. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from agentforge.data.tasks import check_difficulties, family
from agentforge.data.toolcalls import parse_calls
from agentforge.kit.config import StrictModel, Unfit

_TOOLS = ("calculator", "lookup", "python", "search")


class ToolsConfig(StrictModel):
    """The A-cycle."""

    names: list[str] = Field(
        ["calculator", "lookup", "python"],
        description="Of the built-in tools (calculator, lookup, python, search) and of the plug-ins. Empty: none.",
    )
    plugins: list[str] = Field([], description='Tools of your own, "module:attribute" each.')
    describe: Literal["schema", "signature", "names"] = Field(
        "signature", description="How the prompt tells of them: JSON Schemas, one signature a line, or names alone."
    )
    families: dict[str, list[int]] = Field(
        {"tool_calculator": [], "tool_lookup": [], "tool_python": []},
        description="Tasks that need them, with their difficulties; empty: those of the family's start.",
    )
    prompt: str | None = Field(None, min_length=1, description="Instead of the description that is made from them.")
    calls: int = Field(1, ge=1, le=32, description="Calls in one answer that get a result.")
    constrained: bool = Field(
        False, description="While measuring, calls can only be well-formed (needs llguidance)."
    )

    @property
    def on(self) -> bool:
        return bool(self.names)

    @field_validator("names")
    @classmethod
    def _once(cls, value: list[str]) -> list[str]:
        twice = next((name for name in value if value.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice} stands twice")
        return value

    @field_validator("families")
    @classmethod
    def _known(cls, value: dict[str, list[int]]) -> dict[str, list[int]]:
        check_difficulties(value)
        return value

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        unknown = next((name for name in self.names if name not in _TOOLS), None)
        if unknown is not None and not self.plugins:
            step = f"Built in are: {', '.join(_TOOLS)}. Others come by tools.plugins."
            raise Unfit("names", f"there is no tool {unknown!r}", reason="UNKNOWN_TOOL", next_step=step)
        if self.on and not self.families:
            raise Unfit(
                "families", "tools are learned on tasks, and there is none", next_step="Name some families."
            )
        for name in self.families if self.on else ():
            needed = tool_of(name)
            if needed not in self.names:
                what = f"{name} needs {needed or 'no tool'}, and the tools are {', '.join(self.names)}"
                raise Unfit("families", what, next_step="Add the tool to tools.names, or leave the family out.")
        return self

    def difficulty(self, name: str) -> tuple[int, ...]:
        return tuple(self.families[name] or family(name).starter)


def tool_of(name: str) -> str | None:
    """The tool that a family's right answers call."""
    calls = parse_calls(family(name).example().completion)
    return calls[0].tool if calls and calls[0] is not None else None
