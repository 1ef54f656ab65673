"""Telling words from noise without a dictionary: pairs of letters that no word of a text has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise


class Letters:
    """Knows the pairs of letters, with the words' ends, of all words in `texts`."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.known = {pair for text in texts for word in words(text) for pair in _pairs(word)}

    def odd(self, text: str) -> int:
        """How many words have a pair that is not known: few of real ones, most of random letters."""
        return sum(not self.known.issuperset(_pairs(word)) for word in words(text))


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", re.sub(r"<[^>]*>", " ", text.lower()))


def _pairs(word: str) -> set[str]:
    return {a + b for a, b in pairwise(f"_{word}_")}
