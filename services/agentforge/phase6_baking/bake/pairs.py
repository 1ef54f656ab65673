"""What is baked from: the same words behind a prompt, as the teacher reads them, and without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.permute import permuted
from agentforge.data.rows import IGNORED, Numbered, Row, RowSource
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng


@dataclass(frozen=True, slots=True)
class Pair:
    """Ids. The end is part of what is `said`; `learned[i]`: said[i] is the model's own, not a tool's result."""

    prompted: list[int]
    bare: list[int]
    said: list[int]
    learned: list[bool]

    @property
    def anchor(self) -> bool:
        """Off-task: there is no prompt to bake, and the student stays as the teacher is."""
        return self.prompted == self.bare

    def row(self) -> Row:
        return _row(self.bare, self, _row(self.prompted, self))


def item_pair(item: Item, codec: Codec) -> Pair:
    """The item's own answer, with its prefix and without it. Without a prefix it is an anchor."""
    ids, learned = codec.item_ids(item)
    size = len(codec.prompt_ids(item.prefix + item.prompt))
    bare = codec.prompt_ids(item.prompt)
    return Pair(ids[:size], bare, ids[size:], learned[size:])


class PairRows(Numbered):
    """A finite set in epochs, each in a new order. `length`: of the longest row, with its prompt, that is taken;
    no more than the model sees."""

    def __init__(self, pairs: Sequence[Pair], codec: Codec, length: int, seed: int, name: str) -> None:
        if not pairs:
            raise InvalidInput("there is nothing to bake from", reason="EMPTY_CORPUS", field=name)
        for pair in pairs:
            check_length(pair, codec, length, name)
        self.pairs, self.seed, self.name = pairs, seed, name

    def row(self, number: int) -> Row:
        epoch, place = divmod(number, len(self.pairs))
        key = Rng(self.seed, f"baking/{self.name}", epoch).seed
        return self.pairs[permuted(place, len(self.pairs), key)].row()


class Anchored:
    """Rows of any other source as anchors: wherever they have a label, the student stays as the teacher is."""

    def __init__(self, source: RowSource) -> None:
        self._source, self.name = source, source.name

    def row(self, number: int) -> Row:
        row = self._source.row(number)
        return Row(row.ids, row.labels, Row(row.ids, row.labels))

    def state_dict(self) -> dict[str, Any]:
        return self._source.state_dict()

    def load_state_dict(self, state: Any) -> None:
        self._source.load_state_dict(state)


def check_length(pair: Pair, codec: Codec, length: int, name: str) -> None:
    """A prompt that leaves no room for an answer is one error, an answer that does not fit another."""
    prompt, whole = max(len(pair.prompted), len(pair.bare)), len(pair.said)
    whole += prompt
    shown = f"{codec.text(pair.prompted)[:60]!r}…"
    if prompt >= length:
        message = f"{name}: the prompt has {prompt:,} tokens, and {length:,} can be read with an answer: {shown}"
        raise InvalidInput(message, reason="PROMPT_TOO_LONG", field="prompt", next_step="Shorten the prompt.")
    if whole > length:
        message = f"{name}: prompt and answer have {whole:,} tokens, and {length:,} can be read: {shown}"
        step = "Shorten the prompt, or allow shorter answers."
        raise InvalidInput(message, reason="ITEM_TOO_LONG", field="length", next_step=step)


def _row(before: list[int], pair: Pair, beside: Row | None = None) -> Row:
    ids = np.array([*before, *pair.said], np.int64)
    learned = np.array([False] * len(before) + pair.learned, bool)
    return Row(ids, np.where(learned, ids, IGNORED), beside)
