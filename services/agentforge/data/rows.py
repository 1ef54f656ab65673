"""Rows: what one line of a batch holds. Rows of tasks and of token shards are reached by number, in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.permute import permuted
from agentforge.data.tokens import TokenShards, Windows
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng

IGNORED = -100  # the label that PyTorch's and Hugging Face's losses leave out

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Row:
    """`labels` stand at the place of their token; the model shifts. IGNORED where nothing is to be learned.

    `beside`: the row as another model reads it, say with a prompt before it; as many labels, in the same order.
    """

    ids: Ids  # [length or less]
    labels: Ids  # the same shape
    beside: Row | None = None


class RowSource(Protocol):
    """Rows by number. A stream cannot jump: it gives its next row, whatever the number, and keeps a state."""

    @property
    def name(self) -> str: ...
    def row(self, number: int) -> Row: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Numbered:
    """For sources whose rows depend on their number alone: there is no state."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        return


class Items(Protocol):
    """Items by counters: an ItemStream, or a fixed set."""

    @property
    def name(self) -> str: ...
    def item(self, *counters: int) -> Item: ...


class FixedItems:
    """A finite set in epochs, each in a new order; by two counters, as packing asks, drawn with replacement."""

    def __init__(self, items: Sequence[Item], seed: int, name: str = "fixed") -> None:
        if not items:
            raise InvalidInput("there are no items", reason="EMPTY_CORPUS", field=name)
        self.items, self.seed, self.name = items, seed, name

    def item(self, *counters: int) -> Item:
        if len(counters) > 1:
            return Rng(self.seed, f"data/{self.name}", *counters).python().choice(self.items)
        epoch, place = divmod(counters[0], len(self.items))
        return self.items[permuted(place, len(self.items), Rng(self.seed, f"data/{self.name}", epoch).seed)]


class ItemRows(Numbered):
    """One item per row; or as many as fit, whole, when packed. The loss is on what the model is to say."""

    def __init__(self, items: Items, codec: Codec, length: int, *, packed: bool = False) -> None:
        self.items, self.codec, self.length, self.packed = items, codec, length, packed
        self.name = items.name

    def row(self, number: int) -> Row:
        if not self.packed:
            return _row(*self._encoded(number))
        ids: list[int] = []
        learned: list[bool] = []
        slot = 0
        more = self._encoded(number, slot)
        while len(ids) + len(more[0]) <= self.length:
            ids += more[0]
            learned += more[1]
            slot += 1
            more = self._encoded(number, slot)
        return _row(ids, learned)

    def _encoded(self, *counters: int) -> tuple[list[int], list[bool]]:
        item = self.items.item(*counters)
        ids, learned = self.codec.item_ids(item)
        if len(ids) > self.length:
            message = f"{self.name}: an item has {len(ids)} tokens, a row {self.length}: {item.text[:60]!r}…"
            step = "Take longer rows or a lower difficulty."
            raise InvalidInput(message, reason="ITEM_TOO_LONG", field="length", next_step=step)
        return ids, learned


def _row(ids: list[int], learned: list[bool]) -> Row:
    row_ids = np.array(ids, np.int64)
    return Row(row_ids, np.where(np.array(learned, bool), row_ids, IGNORED))


class TokenRows(Numbered):
    """Windows of token shards, each once per epoch, each epoch in a new order. The loss is on every token."""

    def __init__(self, tokens: TokenShards | Windows, length: int, seed: int, vocabulary: int) -> None:
        self.windows = tokens if isinstance(tokens, Windows) else Windows(tokens, length)
        self.seed, self.vocabulary = seed, vocabulary
        self.name = self.windows.tokens.name

    def row(self, number: int) -> Row:
        epoch, place = divmod(number, len(self.windows))
        key = Rng(self.seed, f"data/{self.name}", epoch).seed
        ids = self.windows.read(permuted(place, len(self.windows), key))
        highest = int(ids.max())
        if highest >= self.vocabulary or int(ids.min()) < 0:
            message = f"{self.name} holds the token {highest}; the vocabulary has {self.vocabulary:,}"
            step = "These tokens were made with another tokenizer."
            raise InvalidInput(message, reason="TOKENIZER_MISMATCH", field=self.name, next_step=step)
        return Row(ids, ids.copy())
