"""The facts and pages of `data.toolcalls` as documents: what it answers by hash is also found by other words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

from agentforge.data import toolcalls
from agentforge.data.tasks.tools import SYLLABLES
from agentforge.kit.errors import InvalidInput
from agentforge.tools.retrieval import Document, Index

_MOST_SYLLABLES = 2  # longer names are answered by their exact title only: there are too many to list


class Invented:
    """An exact title is answered for every name; the index is made when the first title was not exact."""

    def __init__(self, attributes: Iterable[str], told: Callable[[str], str]) -> None:
        self._attributes, self._told = tuple(attributes), told
        self._index: Index | None = None

    def titled(self, title: str) -> Document | None:
        try:
            return Document(title, self._told(title))
        except InvalidInput:
            return None

    def best(self, query: str, limit: int) -> list[Document]:
        if self._index is None:
            self._index = Index([Document(title, self._told(title)) for title in self._titles()])
        return self._index.best(query, limit)

    def _titles(self) -> Iterator[str]:
        for size in range(1, _MOST_SYLLABLES + 1):
            for syllables in itertools.product(SYLLABLES, repeat=size):
                yield from (f"{attribute} of {''.join(syllables)}" for attribute in self._attributes)


def facts() -> Invented:
    return Invented(toolcalls.FACTS, toolcalls.lookup)


def pages() -> Invented:
    return Invented(toolcalls.PAGES, toolcalls.search)
