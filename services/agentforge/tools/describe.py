"""What a model is told of its tools: the prefix that baking (phase 6) makes it do without.

schema     <|system|>{"name": "calculator", "description": ..., "inputSchema": {...}}, one line for each tool
signature  <|system|>calculator(expression): Whole numbers with + - * // % and parentheses.
names      <|system|>calculator lookup python
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, cast, get_args

from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng
from agentforge.tools.calls import harmless
from agentforge.tools.tool import ToolSpec

Style = Literal["schema", "signature", "names"]
OPENING = "<|system|>"


def describe(specs: Sequence[ToolSpec], style: Style = "signature", opening: str = OPENING) -> str:
    """Nothing that a description says is read as a special token: it may come from anywhere."""
    if style not in get_args(Style):
        step = f"Take one of {', '.join(get_args(Style))}."
        raise InvalidInput(f"there is no style {style!r}", reason="UNKNOWN_STYLE", field="style", next_step=step)
    if not specs:
        raise InvalidInput("there are no tools to describe", reason="NO_TOOLS", field="tools")
    return f"{opening}{harmless(_WAYS[style](specs))}\n"


def paraphrase(specs: Sequence[ToolSpec], style: Style, seed: int, opening: str = OPENING) -> str:
    """The same in words and an order that `describe` does not use: to find out what a model learned by heart."""
    dice = Rng(seed, "paraphrase", style).python()
    order = _other_order(specs, dice)
    if style == "names":
        lead, between = dice.choice(_LEADS), dice.choice(_BETWEEN)
        return f"{opening}{lead} {between.join(spec.name for spec in order)}\n"
    return describe([_reworded(spec, dice) for spec in order], style, opening)


_LEADS = ("you have", "tools :", "ask", "you may use")
_BETWEEN = (" , ", " and ", " or ")
_WORDINGS = (
    "Use this when you need: {}",
    "Here is a tool. What it does: {}",
    "{} Call it whenever that helps.",
    "(tool) {} One call, one answer.",
)
# For the tools that come along: the same thing said without the same words.
_SAID_OTHERWISE: Mapping[str, tuple[str, ...]] = {
    "calculator": ("Does arithmetic with integers.", "Works out an exact sum, product or remainder."),
    "lookup": ("Answers from a table of facts.", "Knows what is written about a subject."),
    "python": ("Runs a short program and shows its output.", "Executes code for you."),
    "search": ("Looks through web pages.", "Fetches what the internet says about something."),
}


def _other_order(specs: Sequence[ToolSpec], dice: random.Random) -> list[ToolSpec]:
    order = list(specs)
    while len(specs) > 1 and order == list(specs):
        dice.shuffle(order)
    return order


def _reworded(spec: ToolSpec, dice: random.Random) -> ToolSpec:
    said = dice.choice(_SAID_OTHERWISE.get(spec.name, (spec.description,)))
    return replace(spec, description=dice.choice(_WORDINGS).format(said) if said == spec.description else said)


def _schemas(specs: Sequence[ToolSpec]) -> str:
    """Without `_meta`, which is for decoders."""
    shown = ({key: value for key, value in spec.to_mcp().items() if key != "_meta"} for spec in specs)
    return "\n".join(json.dumps(each, ensure_ascii=False) for each in shown)


def _signatures(specs: Sequence[ToolSpec]) -> str:
    return "\n".join(f"{spec.name}({_parameters(spec)}): {' '.join(spec.description.split())}" for spec in specs)


def _parameters(spec: ToolSpec) -> str:
    """Required ones first, in the order that is declared; the others are marked."""
    optional = [f"{name}?" for name in spec.properties if name not in spec.required]
    return ", ".join([*spec.required, *optional])


def _names(specs: Sequence[ToolSpec]) -> str:
    return " ".join(spec.name for spec in specs)


_WAYS = cast(
    "Mapping[str, Callable[[Sequence[ToolSpec]], str]]",
    {"schema": _schemas, "signature": _signatures, "names": _names},
)
