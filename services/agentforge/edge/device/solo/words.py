"""Text in the words that GPT-2's pattern cuts it into, inside of which tokens lie.

    's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+

Python's re knows no \\p, so each character is first told by one letter: L a letter, N a number, D a number to what
cuts digits alone, S a space other than the plain one, O all else.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Dict  # noqa: UP035  # dict[…] cannot be a base before Python 3.9

from . import unicode_table

_CONTRACTION = re.compile("'(?:s|t|re|ve|m|ll|d)")
_RUN = re.compile(" ?L+| ?N+| ?O+|[ S]+(?![^ S])|[ S]+")
_DIGIT = re.compile("[ND]|[^ND]+")


class _Kinds(Dict[int, str]):  # noqa: UP006
    """What `str.translate` asks, filled as characters come."""

    def __init__(self) -> None:
        super().__init__({32: " "})
        table = unicode_table
        self._ranges = [
            (kind, *_ranges(text))
            for kind, text in (("L", table.LETTERS), ("N", table.NUMBERS), ("D", table.DIGITS), ("S", table.SPACES))
        ]

    def __missing__(self, character: int) -> str:
        self[character] = found = next(self._found(character), "O")
        return found

    def _found(self, character: int) -> Iterator[str]:
        for kind, first, last in self._ranges:
            place = bisect_right(first, character) - 1
            if place >= 0 and character <= last[place]:
                yield kind


def _ranges(text: str) -> tuple[list[int], list[int]]:
    """First and last characters."""
    firsts, lasts, at = [], [], 0
    for each in text.split():
        step, _, more = each.partition(".")
        firsts.append(at + int(step, 16))
        at = firsts[-1] + int(more or "0", 16)
        lasts.append(at)
    return firsts, lasts


_KINDS = _Kinds()


def words(text: str, single_digits: bool) -> Iterator[str]:
    """`single_digits`: every digit stands alone, and what is between digits is cut for itself."""
    kinds = text.translate(_KINDS)
    if not single_digits:
        yield from _cut(text, kinds.replace("D", "O"))
        return
    for found in _DIGIT.finditer(kinds):
        start, end = found.span()
        if found[0] in ("N", "D"):
            yield text[start:end]
        else:
            yield from _cut(text[start:end], found[0])


def _cut(text: str, kinds: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        found = _CONTRACTION.match(text, at) or _RUN.match(kinds, at)
        assert found is not None  # every kind begins one of the runs
        yield text[at : found.end()]
        at = found.end()
