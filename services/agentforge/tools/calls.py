"""From what a model says between <|tool|> and <|/tool|> to a tool's arguments, and from a result to safe text.

The format of a call is `name(argument)`. For a tool with exactly one required property, a string, the argument is
that text as it stands: `calculator(25 + 17)`; if it has optional properties too, a JSON object that fits the schema
sets them. For every other tool it is a JSON object: `weather({"city": "Ulm", "days": 3})`, or nothing: `now()`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from agentforge.kit.errors import ForgeError, InvalidInput
from agentforge.tools.schemas import complaint
from agentforge.tools.tool import Tool, ToolSpec

_BODY = re.compile(r"\s*([a-z_][a-z0-9_]*)\((.*)\)\s*", re.DOTALL)
_LONGEST_ERROR = 2_000  # characters
_MARK = re.compile(r"<\|(?=[^<>|\s]*\|>)")


def split_body(body: str) -> tuple[str, str] | None:
    """(name, argument), or None where it is no call."""
    found = _BODY.fullmatch(body)
    return None if found is None else (found[1], found[2])


def arguments_of(spec: ToolSpec, argument: str) -> dict[str, Any]:
    """The arguments of a call, which fit the schema; or InvalidInput in words for a model."""
    if spec.raw is None:
        given = _object(argument) if argument.strip() else {}
        wanted = f"give a JSON object: {spec.name}({_example(spec)})"
    else:
        given = {spec.raw: argument}
        if len(spec.properties) > 1 and argument.lstrip().startswith("{"):
            named = _object(argument)
            given = named if named is not None and not complaint(spec.input_schema, named) else given
        wanted = f"give {spec.name}({spec.raw})"
    wrong = "this is no JSON object" if given is None else complaint(spec.input_schema, given)
    if wrong or given is None:
        raise InvalidInput(f"{wrong}; {wanted}", reason="BAD_ARGUMENTS", field=spec.name)
    return given


def answer(tool: Tool, argument: str) -> str:
    """The tool's text for an argument as a model gives it. Raises what the tool raises."""
    text = tool.call(arguments_of(tool.spec, argument))
    if not isinstance(text, str):
        raise InvalidInput(f"it gave {type(text).__name__}, not text", reason="TOOL_FAILED", field=tool.spec.name)
    return text


def told(error: BaseException) -> str:
    """An error in a line, as a model or a log reads it; what its field is, the tool's name says already."""
    if isinstance(error, ForgeError):
        return f"{error.message} {error.next_step}".strip()[:_LONGEST_ERROR]
    return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]


def harmless(text: str, marks: Iterable[str] = ()) -> str:
    """Text that no tokenizer of ours reads as a special token: `<|result|>` becomes `< |result|>`.

    `marks` are the special tokens of a foreign tokenizer (`</s>`, `[INST]`), which get the same space.
    """
    text = _MARK.sub("< |", text.encode("utf-8", "replace").decode())
    known = sorted((m for m in marks if len(m) > 1 and m.split() == [m]), key=len, reverse=True)
    if known:
        found = re.compile("|".join(map(re.escape, known)))
        while found.search(text):  # one that overlaps another is found the next time
            text = found.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)
    return text


def _object(argument: str) -> dict[str, Any] | None:
    try:
        given = json.loads(argument, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return given if isinstance(given, dict) else None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _example(spec: ToolSpec) -> str:
    return "{" + ", ".join(f'"{name}": ...' for name in spec.required) + "}"
