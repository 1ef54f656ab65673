"""Web search behind a provider: `search(news of bada)`. The default has local pages and no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from agentforge.data import toolcalls
from agentforge.kit.errors import InvalidInput
from agentforge.tools.builtin.invented import Invented, pages
from agentforge.tools.builtin.lookup import WORDS, titles
from agentforge.tools.isolated import Isolated
from agentforge.tools.limits import Limits
from agentforge.tools.references import imported
from agentforge.tools.retrieval import Document, Index, normal, read_documents
from agentforge.tools.tool import ToolSpec

_RESULTS, _EXCERPT = 3, 600  # pages; characters of each


class SearchProvider(Protocol):
    def search(self, query: str, limit: int) -> Sequence[Document]: ...


class Local:
    """An index as a provider: the page of exactly this title alone, or the best ones."""

    def __init__(self, corpus: Index | Invented) -> None:
        self._corpus = corpus

    def search(self, query: str, limit: int) -> Sequence[Document]:
        exact = self._corpus.titled(query)
        return self._corpus.best(query, limit) if exact is None else [exact]


class Search:
    """Pages as `title: text`, one a line; the text alone where the query is its title."""

    def __init__(self, provider: SearchProvider, form: str = WORDS, *, trusted: bool = False) -> None:
        self._provider, self.trusted = provider, trusted
        self.spec = ToolSpec("search", "Short texts of the pages that fit best.", _SCHEMA, form)

    @classmethod
    def local(cls, documents: Path | None = None) -> Search:
        if documents is None:
            return cls(Local(pages()), titles(toolcalls.PAGES), trusted=True)
        return cls(Local(Index(read_documents(documents))), trusted=True)

    def call(self, arguments: Mapping[str, Any]) -> str:
        query = str(arguments["query"])
        found = self._provider.search(query, _RESULTS)
        if not found:
            raise InvalidInput(f"nothing was found for {query!r:.60}", reason="TOOL_FAILED", field="search")
        if len(found) == 1 and normal(found[0].title) == normal(query):
            return found[0].text
        return "\n".join(f"{page.title}: {page.text[:_EXCERPT]}" for page in found[:_RESULTS])


def provided(reference: str, limits: Limits) -> Isolated:
    """A provider from the outside works in a process of its own, where alone it is imported."""
    tool = Isolated.of(_Elsewhere(reference), limits)
    tool.start()
    return tool


class _Elsewhere:
    """Becomes a search with its provider when it arrives in another process."""

    def __init__(self, reference: str) -> None:
        self._reference = reference
        self.spec = ToolSpec("search", "Short texts of the pages that fit best.", _SCHEMA, WORDS)

    def __reduce__(self) -> tuple[Callable[[str], Search], tuple[str]]:
        return _connected, (self._reference,)

    def call(self, arguments: Mapping[str, Any]) -> str:
        return _connected(self._reference).call(arguments)


def _connected(reference: str) -> Search:
    provider = imported(reference, "provider")
    if not callable(getattr(provider, "search", None)):
        message = f"{reference} is no search provider"
        step = "It needs `search(query, limit)`, which gives Documents."
        raise InvalidInput(message, reason="BAD_REFERENCE", field="provider", next_step=step)
    return Search(provider)


_SCHEMA = {
    "type": "object",
    "properties": {"query": {"type": "string", "minLength": 1, "maxLength": 400}},
    "required": ["query"],
    "additionalProperties": False,
}
