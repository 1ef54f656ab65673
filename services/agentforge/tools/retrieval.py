"""Documents with titles, found by title or by BM25 (Robertson and Zaragoza, 2009).

By hand: forty lines of arithmetic over postings. bm25s is faster on large corpora, but it needs NumPy, which phase
services do without, and answers with arrays; a few thousand short documents take milliseconds here.
"""

from __future__ import annotations

import heapq
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentforge.kit.errors import InvalidInput, NotFound

_K1, _B = 1.5, 0.75  # how soon repetition stops to matter; how much long documents are held back
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    text: str


class Index:
    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = documents
        self._by_title = {normal(document.title): document for document in documents}
        self._postings: dict[str, list[tuple[int, int]]] = defaultdict(list)  # word: (document, how often)
        self._lengths = []
        for number, document in enumerate(documents):
            found = words(f"{document.title} {document.text}")
            self._lengths.append(len(found))
            for word, count in Counter(found).items():
                self._postings[word].append((number, count))
        self._mean = sum(self._lengths) / max(len(documents), 1)

    def titled(self, title: str) -> Document | None:
        return self._by_title.get(normal(title))

    def best(self, query: str, limit: int) -> list[Document]:
        """At most `limit` documents that share a word with the query, the best first; of equal ones the first."""
        scores: dict[int, float] = defaultdict(float)
        for word in sorted(set(words(query))):
            postings = self._postings.get(word, ())
            rarity = math.log1p((len(self.documents) - len(postings) + 0.5) / (len(postings) + 0.5))
            for number, count in postings:
                size = 1 - _B + _B * self._lengths[number] / self._mean
                scores[number] += rarity * count * (_K1 + 1) / (count + _K1 * size)
        chosen = heapq.nsmallest(limit, scores, key=lambda number: (-scores[number], number))
        return [self.documents[number] for number in chosen]


def words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def normal(title: str) -> str:
    return " ".join(title.casefold().split())


def read_documents(path: Path) -> list[Document]:
    """JSONL: a `title` (or an `id`) and a `text` on every line. The first line that is not so is named."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise NotFound(f"there is no {path}", reason="NO_DOCUMENTS", field=str(path)) from None
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise InvalidInput(message, reason="UNREADABLE", field=str(path)) from error
    found: dict[str, Document] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        document = _document(line, path, number)
        if normal(document.title) in found:
            raise _refused(path, number, f"the title {document.title!r:.80} is taken by a line before")
        found[normal(document.title)] = document
    if not found:
        raise InvalidInput(f"{path} has no documents", reason="NO_DOCUMENTS", field=str(path))
    return list(found.values())


def _document(line: bytes, path: Path, number: int) -> Document:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _refused(path, number, f"no JSON ({error})") from None
    if not isinstance(fields, dict):
        raise _refused(path, number, "no JSON object")
    title, text = fields.get("title", fields.get("id")), fields.get("text")
    if not isinstance(title, str) or not isinstance(text, str) or not title.strip() or not text.strip():
        raise _refused(path, number, "title (or id) and text must be texts that are not empty")
    return Document(title, text)


def _refused(path: Path, number: int, why: str) -> InvalidInput:
    step = 'Every line is like {"title": "Ulm", "text": "A town on the Danube."}.'
    return InvalidInput(
        f"{path}, line {number}: {why}", reason="BAD_DOCUMENT", field=f"{path}:{number}", next_step=step
    )
