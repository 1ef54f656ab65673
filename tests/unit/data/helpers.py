"""Small corpora and codecs that several tests share."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from itertools import islice

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.sources.documents import START, Cursor, Document
from agentforge.data.splits import Split
from agentforge.data.tasks import FAMILIES
from agentforge.data.tokenizer import train_tokenizer


class ListSource:
    """Documents from a list."""

    def __init__(self, texts: Sequence[str], name: str = "list") -> None:
        self.texts, self.name = texts, name

    def read(self, cursor: Cursor = START) -> Iterator[tuple[Document, Cursor]]:
        for place in range(cursor[1], len(self.texts)):
            yield Document(self.texts[place], f"{self.name}@{place}"), (0, place + 1)


def task_texts(count: int = 60) -> list[str]:
    streams = [ItemStream(family, Split.TRAIN, seed=0) for family in FAMILIES.values()]
    return [item.text for stream in streams for item in islice(stream, count)]


@functools.cache
def tiny_codec() -> Codec:
    return Codec(train_tokenizer(task_texts(), 512))


def story(number: int, words: int = 120) -> str:
    """Readable filler; different numbers give different stories."""
    nouns = ("river", "engine", "garden", "letter", "window", "planet", "market", "violin", "harbor", "forest")
    verbs = ("moves", "opens", "finds", "keeps", "answers", "follows", "carries", "paints", "measures", "turns")
    state = number * 7919 + 13
    said: list[str] = []
    for _ in range(words):
        state = (state * 1103515245 + 12345) % 2**31
        said.append((nouns if len(said) % 2 == 0 else verbs)[state // 65536 % 10])
    return " ".join(said) + f" {number}."
