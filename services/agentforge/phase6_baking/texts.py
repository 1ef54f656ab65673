"""Text that has nothing to do with tools or persona: what a model says of it is to stay as it is."""

from __future__ import annotations

import numpy as np

from agentforge.data.codec import Codec
from agentforge.data.rows import Numbered, Row
from agentforge.data.splits import Split
from agentforge.kit.rng import Rng
from agentforge.phase6_baking.bake.pairs import Pair
from agentforge.train.examine import library_texts

_TEXTS = 100  # documents to train on


class TextRows(Numbered):
    """Windows of documents of Python's library; the loss is on every token but the first."""

    name = "text"

    def __init__(self, codec: Codec, length: int, seed: int) -> None:
        self.seed, self.length = seed, length
        self.documents = [[*codec.document_ids(text), codec.eos] for text in library_texts(Split.TRAIN, _TEXTS)]

    def row(self, number: int) -> Row:
        dice = Rng(self.seed, "baking/text", number).python()
        ids = dice.choice(self.documents)
        first = dice.randrange(max(1, len(ids) - self.length + 1))
        row = np.array(ids[first : first + self.length], np.int64)
        return Row(row, row.copy())


def text_pairs(codec: Codec, texts: list[str], length: int) -> list[Pair]:
    """Anchors: the beginning of each text, its first token given."""
    rows = [codec.document_ids(text)[:length] for text in texts]
    return [Pair(ids[:1], ids[:1], ids[1:], [True] * (len(ids) - 1)) for ids in rows if len(ids) > 1]
