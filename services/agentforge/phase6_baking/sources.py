"""Where rows and questions of the phase come from: tasks of tools, skills and text, behind a prompt or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.items import Item
from agentforge.data.manner import EXACT, OFFERS, OPENINGS, Manner
from agentforge.data.rows import ItemRows
from agentforge.data.splits import Split
from agentforge.phase6_baking.asking import room_for
from agentforge.phase6_baking.start import Start
from agentforge.phase6_baking.texts import TextRows
from agentforge.phase6_baking.told import Told, ways_of

TOOLS, PERSONA = "tools", "persona"  # what is baked: A and B

_TEXT_ROW = 32  # tokens
_SAME: Mapping[str, tuple[str, ...]] = {"tool_calculator": ("arithmetic", "arithmetic_mixed")}
"""Families whose questions are a tool's, word for word."""


def questions(start: Start, kind: str, split: Split, seed: int) -> list[Told]:
    """Of a round, with their bare answers: tasks for tools; in a persona's manner, everything that can be asked."""
    families = dict(start.config.tool_tasks)
    if kind == PERSONA:
        families |= plainly_answered(start)
    prefix, ways = prefix_of(start, kind), ways_of(start.config.following.ways)
    return [
        Told(ItemStream(name, split, seed, levels), prefix, None, seed, ways) for name, levels in families.items()
    ]


def prefix_of(start: Start, kind: str) -> str:
    return start.prompts.tools if kind == TOOLS else start.prompts.whole


def plainly_answered(start: Start) -> dict[str, tuple[int, ...]]:
    """Skills that no tool answers better: what a tool's task asks is left to it."""
    asked = {family: name for name in start.config.tool_tasks for family in _SAME.get(name, ())}
    return {name: levels for name, levels in start.config.skills.items() if name not in asked}


def rows(start: Start, name: str, levels: tuple[int, ...], prefix: str, manner: Manner | None) -> ItemRows:
    stream = ItemStream(name, Split.TRAIN, start.config.seed, levels)
    ways = ways_of(start.config.following.ways if prefix else "plain")  # skills are kept as they were learned
    told = Told(stream, prefix, manner, start.config.seed, ways)
    return ItemRows(told, start.codec, start.config.data.length)


def text(start: Start) -> TextRows:
    return TextRows(start.codec, min(_TEXT_ROW, start.config.data.length), start.config.seed)


def room_of(start: Start, items: Sequence[Item]) -> int:
    """Tokens for the longest of these answers, said in the longest manner."""
    if start.manner is not None:
        size = partial(_tokens, start.codec)
        words = " ".join(max(phrases, key=size) for phrases in (OPENINGS, EXACT, OFFERS))
        items = [replace(item, answer=words.replace("{}", item.answer)) for item in items]
    return room_for(start.codec, items)


def _tokens(codec: Codec, text: str) -> int:
    return len(codec.ids(text))
