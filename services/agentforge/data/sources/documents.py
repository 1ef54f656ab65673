"""A document, and what a source of documents promises."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from agentforge.data.generate import ItemStream
from agentforge.data.splits import Split, split_of
from agentforge.kit.errors import MissingTool

Cursor = tuple[int, int]
"""(file or shard, place in it): all that is needed to go on reading. Plain integers, for checkpoints."""

START: Cursor = (0, 0)


@dataclass(frozen=True, slots=True)
class Document:
    """`key` decides the split where the text alone must not: a docstring goes where its file goes."""

    text: str
    origin: str
    key: str = ""

    @property
    def split(self) -> Split:
        return split_of(self.key or self.text.strip())


class DocumentSource(Protocol):
    @property
    def name(self) -> str: ...

    def read(self, cursor: Cursor = START) -> Iterator[tuple[Document, Cursor]]:
        """Documents from the cursor on, each with the cursor behind it; always the same ones in the same order."""


class SplitSource:
    """Only the documents of one split."""

    def __init__(self, source: DocumentSource, split: Split) -> None:
        self.source, self.split = source, split
        self.name = f"{source.name}/{split}"

    def read(self, cursor: Cursor = START) -> Iterator[tuple[Document, Cursor]]:
        for document, after in self.source.read(cursor):
            if document.split is self.split:
                yield document, after


class TaskTexts:
    """The first `count` items of each stream as texts: what a tokenizer needs to see of the tasks."""

    def __init__(self, streams: Iterable[ItemStream], count: int) -> None:
        self.streams, self.count = list(streams), count
        self.name = "tasks"

    def read(self, cursor: Cursor = START) -> Iterator[tuple[Document, Cursor]]:
        first, begin = cursor
        for which in range(first, len(self.streams)):
            for place in range(begin, self.count):
                item = self.streams[which].item(place)
                yield Document(item.text, self.streams[which].name, item.canonical), (which, place + 1)
            begin = 0


def texts(*sources: DocumentSource) -> Iterator[str]:
    """The bare texts of some sources, one source after the other."""
    for source in sources:
        for document, _ in source.read():
            yield document.text


def optional(module: str, package: str, needed_for: str) -> Any:
    """An optional package, or MissingTool that says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        message = f"{needed_for} needs the package {package!r}, which is not installed"
        step = f"Install it: pip install 'agentforge[data]' (or pip install {package})."
        raise MissingTool(message, field=package, next_step=step) from error


Reader = Callable[..., Iterator[tuple[str, int]]]
"""read(path, start, field, …) -> (text, place behind it): one file format."""
