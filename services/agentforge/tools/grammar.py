"""Constrained decoding: a grammar (llguidance, in its dialect of Lark) of all that a model may say with its tools.

    any text <|tool|>name(argument)<|/tool|> any text ...

Names are those of the tools, arguments fit their schemas. Text spells none of the four marks of calls and results,
so no result is ever invented. Arguments are also bounded in length: a call that began is to end.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentforge.data.toolcalls import RESULT_CLOSE, RESULT_OPEN, TOOL_CLOSE, TOOL_OPEN
from agentforge.kit.errors import InvalidInput, MissingTool
from agentforge.tools.tool import ToolSpec

if TYPE_CHECKING:
    from llguidance import LLTokenizer

MARKS = (TOOL_OPEN, TOOL_CLOSE, RESULT_OPEN, RESULT_CLOSE)
_TEXT, _ITEMS = 200, 16  # characters of a string, elements of an array, where the schema sets no bound
_PARTS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)  # of a regex: escapes, classes, characters
_TYPED = frozenset({"type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf"})
_CHOSEN = frozenset({"enum", "const", "pattern", "format"})


def call_grammar(specs: Sequence[ToolSpec], *, special: bool) -> str:
    """`special`: the marks are single tokens, as in our tokenizers; else they are spelled, as text."""
    if not specs:
        raise InvalidInput("there are no tools to call", reason="NO_TOOLS", field="tools")
    calls = " | ".join(f"call_{number}" for number in range(len(specs)))
    rules = [f"start: (opening ({calls}))* TEXT", f"TEXT: {_without_marks('(?s:.*)')}"]
    opened = f"opening: TEXT {TOOL_OPEN}" if special else f"opening[lazy]: TEXT {json.dumps(TOOL_OPEN)}"
    for number, spec in enumerate(specs):
        rules += _call(number, spec, special)
    return "\n".join([*rules, opened]) + "\n"


def needs_llguidance() -> None:
    if importlib.util.find_spec("llguidance") is None:
        message = "constrained decoding needs the package 'llguidance', which is not installed"
        raise MissingTool(message, field="llguidance", next_step="Install it: pip install 'agentforge[grammar]'.")


def checked(specs: Sequence[ToolSpec], grammar: str, special: bool, tokenizer: LLTokenizer | None = None) -> str:
    """The grammar, or InvalidInput that names the first tool that no grammar can hold."""
    from llguidance import LLMatcher

    if not (fault := LLMatcher.validate_grammar(grammar, tokenizer)):
        return grammar
    alone = {spec.name: call_grammar([spec], special=special) for spec in specs}
    guilty = (name for name, each in alone.items() if LLMatcher.validate_grammar(each, tokenizer))
    name = next(guilty, "all tools together")
    step = "Simplify its schema, or have it called without constrained decoding."
    message = f"no grammar can be made of {name}: {' '.join(fault.split())[:300]}"
    raise InvalidInput(message, reason="BAD_GRAMMAR", field=name, next_step=step)


def _call(number: int, spec: ToolSpec, special: bool) -> list[str]:
    """A raw argument stands in one terminal with all around it, since it may hold what ends it: `python(f(1))`."""
    head, close = json.dumps(f"{spec.name}("), TOOL_CLOSE if special else json.dumps(TOOL_CLOSE)
    if spec.raw is None:
        schema = {**narrowed(spec.input_schema), "x-guidance": {"whitespace_flexible": False}}
        return [f'call_{number}: {head} %json {json.dumps(schema)} ")" {close}']
    argument = f"ARGUMENT_{number}: {_raw(spec.properties[spec.raw], spec.form)}"
    if special:
        return [argument, f'CALL_{number}: {head} ARGUMENT_{number} ")"', f"call_{number}: CALL_{number} {close}"]
    return [argument, f'call_{number}[lazy]: {head} ARGUMENT_{number} ")" {close}']


def _raw(declared: Mapping[str, Any], form: str) -> str:
    if form:
        return _without_marks(form)
    chosen = [declared["const"]] if "const" in declared else declared.get("enum", [])
    if chosen:
        return " | ".join(json.dumps(each) for each in chosen)
    least, most = declared.get("minLength", 0), min(declared.get("maxLength", _TEXT), _TEXT)
    bounds = f"/[^\\n]{{{least},{max(least, most)}}}/"
    return f"{bounds} & {_without_marks(_whole(declared.get('pattern', '')))}"


def _whole(pattern: str) -> str:
    """JSON Schema searches a pattern, and any of its branches may be anchored; terminals are matched end to end."""
    return "|".join(map(_branch, _branches(pattern)))


def _branch(pattern: str) -> str:
    before = "" if pattern.startswith("^") else "(?s:.*)"
    after = "" if pattern.endswith("$") and not pattern.endswith("\\$") else "(?s:.*)"
    return f"{before}({pattern[0 if before else 1 : None if after else -1]}){after}"


def _branches(pattern: str) -> list[str]:
    """What `|` parts outside of groups and classes."""
    found, depth = [""], 0
    for part in _PARTS.findall(pattern):
        depth += (part == "(") - (part == ")")
        if part == "|" and depth == 0:
            found.append("")
        else:
            found[-1] += part
    return found


def _without_marks(regex: str) -> str:
    """Neither as tokens nor spelled: who reads calls reads text."""
    spelled = "|".join(re.escape(mark).replace("<", "[<]").replace(">", "[>]") for mark in MARKS)
    return f"{_terminal(regex)} & ~{_terminal(f'(?s:.*)({spelled})(?s:.*)')}"


def _terminal(regex: str) -> str:
    slashed = re.sub(r"(\\.)|/", lambda found: found[1] or r"\/", regex, flags=re.DOTALL)
    return f"/{slashed}/"


def narrowed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same schema with strings and arrays that end, no mark in a string, and none but declared properties."""
    made = dict(schema)
    for key in ("properties", "$defs", "patternProperties"):
        if key in made:
            made[key] = {name: _inner(each) for name, each in made[key].items()}
    for key in ("items", "additionalProperties"):
        if key in made:
            made[key] = _inner(made[key])
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if key in made:
            made[key] = [_inner(each) for each in made[key]]
    if not _TYPED & made.keys():
        made["type"] = ["string", "number", "boolean"]
    kinds = made.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "string" in kinds and not _CHOSEN & made.keys():
        made |= {"pattern": "^[^<]*$", "maxLength": min(made.get("maxLength", _TEXT), _TEXT)}
    if "array" in kinds:
        made.setdefault("maxItems", max(_ITEMS, made.get("minItems", 0)))
    if "object" in kinds and "allOf" not in made:
        made.setdefault("additionalProperties", False)
    return made


def _inner(schema: Any) -> Any:
    return narrowed(schema) if isinstance(schema, Mapping) else narrowed({}) if schema is True else schema
