"""A tokenizer that was trained on text and items, its measured use, and a smaller one of it."""

from __future__ import annotations

import functools
from typing import Any

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.sources.documents import Document, SplitSource
from agentforge.data.sources.stdlib import Part, StandardLibrary
from agentforge.data.splits import Split
from agentforge.data.tokenizer import train_tokenizer
from agentforge.phase8_compression.vocabulary.choose import Choice, choose
from agentforge.phase8_compression.vocabulary.rebuild import Rebuilt, rebuilt
from agentforge.phase8_compression.vocabulary.usage import Counts, usage

LARGE, SMALL = 700, 400


@functools.cache
def documents() -> list[Document]:
    source = SplitSource(StandardLibrary(Part.DOCSTRINGS, every=40), Split.TRAIN)
    return [document for document, _ in source.read()]


@functools.cache
def tokenizer() -> Any:
    return train_tokenizer((document.text for document in documents()), LARGE)


@functools.cache
def codec() -> Codec:
    return Codec(tokenizer())


def items(split: Split = Split.TRAIN) -> list[Any]:
    stream = ItemStream("arithmetic", split, 0)
    return [stream.item(number) for number in range(20)]


@functools.cache
def counts() -> Counts:
    return usage(codec(), documents=documents(), items=items())


@functools.cache
def choice(size: int = SMALL) -> Choice:
    return choose(tokenizer(), counts(), size)


@functools.cache
def small(size: int = SMALL) -> Rebuilt:
    return rebuilt(tokenizer(), choice(size).kept)


@functools.cache
def small_codec(size: int = SMALL) -> Codec:
    return Codec(small(size).tokenizer)
