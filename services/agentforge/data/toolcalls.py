"""The call format of tools, and reference tools that answer exactly. Nothing here touches files, network or clock.

    Q: 25 + 17 = A: <|tool|>calculator(25 + 17)<|/tool|><|result|>42<|/result|> 42

The model says the call; whoever runs it inserts `<|result|>…<|/result|>`; the model goes on with the answer.
"""

from __future__ import annotations

import ast
import hashlib
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agentforge.kit.errors import InvalidInput

TOOL_OPEN, TOOL_CLOSE = "<|tool|>", "<|/tool|>"
RESULT_OPEN, RESULT_CLOSE = "<|result|>", "<|/result|>"

_CALL = re.compile(r"<\|tool\|>(.*?)<\|/tool\|>(?:<\|result\|>(.*?)<\|/result\|>)?", re.DOTALL)
_BODY = re.compile(r"\s*([a-z_][a-z0-9_]*)\((.*)\)\s*", re.DOTALL)
_MAX_EXPRESSION = 400  # characters
_MAX_MAGNITUDE = 10**30
_MAX_RANGE = 10_000


@dataclass(frozen=True, slots=True)
class ToolCall:
    tool: str
    argument: str
    result: str | None = None  # what stands behind the call, where something does

    def text(self) -> str:
        answered = "" if self.result is None else f"{RESULT_OPEN}{self.result}{RESULT_CLOSE}"
        return f"{TOOL_OPEN}{self.tool}({self.argument}){TOOL_CLOSE}{answered}"


def parse_calls(output: str) -> list[ToolCall | None]:
    """Every call in an output, in order; None stands for one that is not `name(argument)`."""
    calls: list[ToolCall | None] = []
    for match in _CALL.finditer(output):
        body = _BODY.fullmatch(match[1])
        calls.append(ToolCall(body[1], body[2], match[2]) if body else None)
    return calls


def run_call(call: ToolCall) -> str:
    """The true result of a call, or InvalidInput that says why there is none."""
    tool = TOOLS.get(call.tool)
    if tool is None:
        step = f"Known tools: {', '.join(TOOLS)}."
        raise InvalidInput(f"there is no tool {call.tool!r}", reason="UNKNOWN_TOOL", field="tool", next_step=step)
    return tool(call.argument)


def calculator(expression: str) -> str:
    """Whole numbers with + - * // % and parentheses."""
    return str(_evaluate(expression, functions={}))


def python(expression: str) -> str:
    """One Python expression over numbers, strings and lists, with a few pure built-ins; no sandbox is needed."""
    return str(_evaluate(expression, functions=_FUNCTIONS))


def lookup(question: str) -> str:
    """A fixed table of invented facts ("color of tuba"): they cannot be reasoned out, only looked up."""
    attribute, of, thing = question.strip().partition(" of ")
    if not of or attribute not in FACTS or not thing.isalpha():
        step = f"Ask for {', '.join(FACTS)} of a name."
        raise InvalidInput(f"no such fact: {question!r}", reason="TOOL_FAILED", field="lookup", next_step=step)
    values = FACTS[attribute]
    return values[_place(f"{attribute} of {thing}") % len(values)]


def search(query: str) -> str:
    """The short text of an invented page ("news of bada"): an event and a thing, as fixed as the facts are."""
    topic, of, thing = query.strip().partition(" of ")
    if not of or topic not in PAGES or not thing.isalpha():
        step = f"Search for {', '.join(PAGES)} of a name."
        raise InvalidInput(f"no page about {query!r}", reason="TOOL_FAILED", field="search", next_step=step)
    events, things = PAGES[topic]
    place, event = divmod(_place(f"{topic} of {thing}"), len(events))
    return f"{events[event]} {things[place % len(things)]}"


def _place(title: str) -> int:
    return int.from_bytes(hashlib.sha256(title.encode()).digest()[:8], "big")


FACTS: Mapping[str, tuple[str, ...]] = {
    "color": ("red", "blue", "green", "black", "white", "gold", "pink", "gray"),
    "size": ("tiny", "small", "large", "huge"),
    "home": ("north", "south", "east", "west", "sea", "hill", "wood", "lake"),
    "food": ("corn", "fish", "rice", "nuts", "milk", "beans"),
}

PAGES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "news": (
        ("won", "lost", "sold", "found", "made", "broke"),
        ("a boat", "a horse", "a prize", "the key", "the map", "a ring"),
    ),
    "plan": (("build", "buy", "paint", "burn"), ("a house", "a bridge", "the gate", "a ship")),
}

TOOLS: Mapping[str, Callable[[str], str]] = {
    "calculator": calculator, "lookup": lookup, "python": python, "search": search,
}  # fmt: skip

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": abs, "len": len, "max": max, "min": min, "sum": sum, "sorted": sorted, "str": str, "int": int,
    "range": lambda *bounds: list(range(*_bounded(bounds))),
}  # fmt: skip
_METHODS = frozenset({"count", "upper", "lower"})
_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip


def _bounded(bounds: tuple[int, ...]) -> tuple[int, ...]:
    if len(range(*bounds)) > _MAX_RANGE:
        raise ValueError(f"a range of more than {_MAX_RANGE:,}")
    return bounds


def _evaluate(expression: str, functions: Mapping[str, Callable[..., Any]]) -> Any:
    try:
        if len(expression) > _MAX_EXPRESSION:
            raise ValueError(f"longer than {_MAX_EXPRESSION} characters")
        return _value(ast.parse(expression.strip(), mode="eval").body, functions)
    except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError) as error:
        message = f"cannot evaluate {expression[:80]!r}: {error}"
        raise InvalidInput(message, reason="TOOL_FAILED", field="expression") from error


def _value(node: ast.expr, functions: Mapping[str, Callable[..., Any]]) -> Any:
    """Only what is named here is evaluated: an allow-list, so nothing reaches attributes, names or imports."""
    match node:
        case ast.Constant(value=int() as number) if not isinstance(number, bool):
            return _checked(number)
        case ast.Constant(value=str() as text) if functions:
            return text
        case ast.List(elts=elements) if functions:
            return [_value(element, functions) for element in elements]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(operand, functions))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            values = (_value(left, functions), _value(right, functions))
            if not all(isinstance(value, int) for value in values):
                raise ValueError("operators take whole numbers")
            return _checked(_OPERATORS[type(op)](*values))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in functions:
            return functions[name](*(_value(argument, functions) for argument in arguments))
        case ast.Call(func=ast.Attribute(value=owner, attr=name), args=arguments, keywords=[]) if name in _METHODS:
            text = _value(owner, functions)
            if not isinstance(text, str):
                raise ValueError(f"{name} is for strings")
            return getattr(text, name)(*(_value(argument, functions) for argument in arguments))
        case _:
            raise ValueError(f"{type(node).__name__} is not allowed")


def _checked(number: Any) -> Any:
    if abs(number) > _MAX_MAGNITUDE:
        raise ValueError("the number is too large")
    return number
