"""The table of task families. A new family is a class with `draw` and one line here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from agentforge.data.tasks.arithmetic import Arithmetic
from agentforge.data.tasks.base import Family
from agentforge.data.tasks.nested import Chain, Nested
from agentforge.data.tasks.persona import Persona
from agentforge.data.tasks.recall import Recall
from agentforge.data.tasks.strings import Edit, Rearrange
from agentforge.data.tasks.tools import Calculator, Lookup, PythonUse, Search
from agentforge.kit.errors import InvalidInput

# fmt: off
_TABLE: tuple[Family, ...] = (
    #          name               summary                              knob        difficulties  starter
    Arithmetic("arithmetic",      "sums of two numbers",               "digits",   range(1, 4),  (1, 2)),
    Arithmetic("arithmetic_steps","sums with the columns worked out",  "digits",   range(1, 4),  (1, 2),
               steps=True),
    Arithmetic("arithmetic_mixed","sums, differences and products",    "digits",   range(1, 4),  (1,),
               signs=("+", "-", "*")),
    Recall(    "recall",          "the value of one key among k pairs","pairs",    range(1, 65), (2, 3, 4)),
    Recall(    "recall_long",     "recall with 128 words of noise",    "pairs",    range(1, 65), (1, 2),
               noise=128),
    Nested(    "nested",          "nested expressions modulo 5",       "depth",    range(1, 7),  (1, 2, 3)),
    Nested(    "nested_sides",    "nested, outer numbers on either side","depth",  range(1, 7),  (1, 2, 3),
               sides=True),
    Nested(    "nested_steps",    "the same as nested, worked out",  "depth",    range(1, 7),  (1, 2, 3),
               steps=True),
    Chain(     "chain",           "sums of many digits modulo 10",     "terms",    range(2, 17), (2, 3)),
    Chain(     "chain_steps",     "the same, with running totals",     "terms",    range(2, 17), (2, 3, 4),
               steps=True),
    Rearrange( "copy",            "the letters again",                 "letters",  range(1, 33), (3, 4, 5)),
    Rearrange( "reverse",         "the letters backwards",             "letters",  range(1, 33), (2, 3, 4),
               verb="reverse"),
    Rearrange( "sort",            "the letters in order",              "letters",  range(1, 33), (2, 3, 4),
               verb="sort"),
    Edit(      "edit",            "replace, delete or double a letter","letters",  range(1, 33), (3, 4)),
    Calculator("tool_calculator", "arithmetic by calling a tool",      "digits",   range(1, 7),  (2, 3)),
    Lookup(    "tool_lookup",     "an invented fact, looked up",       "syllables",range(2, 6),  (2,)),
    PythonUse( "tool_python",     "a question about a list, by Python","numbers", range(1, 17), (2, 3)),
    Search(    "tool_search",     "an invented page, searched for",    "syllables",range(2, 6),  (2,)),
    Persona(   "persona",         "a sum, answered in a named style",  "digits",   range(1, 4),  (1,)),
)
# fmt: on

FAMILIES: Mapping[str, Family] = {each.name: each for each in _TABLE}

# What each specialist of phase 1 is trained for.
SPECIALISMS: Mapping[str, tuple[str, ...]] = {
    "reasoning": ("arithmetic",),
    "memory_integration": ("recall",),
    "adaptive_computation": ("nested",),
}


def family(name: str) -> Family:
    if name not in FAMILIES:
        near = difflib.get_close_matches(name, FAMILIES, n=1)
        step = f"Did you mean {near[0]!r}?" if near else f"Known families: {', '.join(FAMILIES)}."
        raise InvalidInput(f"there is no task family {name!r}", reason="UNKNOWN_FAMILY", field=name, next_step=step)
    return FAMILIES[name]


def check_difficulties(chosen: Mapping[str, Sequence[int]]) -> None:
    """For configs: a ValueError that names the first family, or difficulty of one, that there is not."""
    for name, difficulties in chosen.items():
        try:
            allowed = family(name).difficulties
        except InvalidInput as error:
            raise ValueError(f"{error.message}. {error.next_step}") from None
        wrong = [each for each in difficulties if each not in allowed]
        if wrong:
            raise ValueError(f"{name} has difficulties {allowed.start} to {allowed.stop - 1}, not {wrong}")
