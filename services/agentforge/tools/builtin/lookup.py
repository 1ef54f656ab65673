"""Facts: `lookup(color of tuba)`, from the invented ones of `data.toolcalls` or from documents of the user's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from agentforge.data import toolcalls
from agentforge.kit.errors import InvalidInput
from agentforge.tools.builtin.invented import facts
from agentforge.tools.retrieval import Index, read_documents
from agentforge.tools.tool import ToolSpec

WORDS = r"[\p{L}\p{N}]{1,24}([ '.,-][\p{L}\p{N}]{1,24}){0,11}"


class Lookup:
    """A title that is asked for exactly gives its text; else the best document is told with its title."""

    trusted = True  # arithmetic over an index

    def __init__(self, documents: Path | None = None) -> None:
        self._corpus = facts() if documents is None else Index(read_documents(documents))
        form = titles(toolcalls.FACTS) if documents is None else WORDS
        self.spec = ToolSpec("lookup", "The text of the document whose title fits best.", _SCHEMA, form)

    def call(self, arguments: Mapping[str, Any]) -> str:
        question = str(arguments["question"])
        exact = self._corpus.titled(question)
        if exact is not None:
            return exact.text
        found = self._corpus.best(question, 1)
        if not found:
            raise InvalidInput(f"nothing is known of {question!r:.60}", reason="TOOL_FAILED", field="lookup")
        return f"{found[0].title}: {found[0].text}"


def titles(attributes: Iterable[str]) -> str:
    """The form of the invented titles."""
    return f"({'|'.join(attributes)}) of [a-z]{{1,16}}"


_SCHEMA = {
    "type": "object",
    "properties": {"question": {"type": "string", "minLength": 1, "maxLength": 400}},
    "required": ["question"],
    "additionalProperties": False,
}
