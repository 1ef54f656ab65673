"""Rows straight from documents: nothing is prepared, memory is bounded, a resume is exact to the token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from agentforge.data.codec import Codec
from agentforge.data.rows import Row
from agentforge.data.sources.documents import START, Cursor, Document, DocumentSource
from agentforge.kit.errors import FailedPrecondition, InvalidInput


class StreamRows:
    """Documents in their source's order, one after the other, cut into full rows; endless, epoch after epoch.

    Rank r of w takes documents r, r + w, r + 2w, … The state is the cursor before the document that is being cut,
    and how much of it is gone; a resume reads that document again and goes on behind it.
    """

    def __init__(self, source: DocumentSource, codec: Codec, length: int, *, rank: int = 0, world: int = 1) -> None:
        self.source, self.codec, self.length = source, codec, length
        self.rank, self.world = rank, world
        self.name = source.name
        self._begin(epoch=0, cursor=START, number=0, tokens=0)

    def row(self, number: int) -> Row:
        ids: list[int] = []
        while len(ids) < self.length:
            if self._gone == len(self._ids):
                self._next_document()
            part = self._ids[self._gone : self._gone + self.length - len(ids)]
            self._gone += len(part)
            ids += part
        row_ids = np.array(ids, np.int64)
        return Row(row_ids, row_ids.copy())

    def state_dict(self) -> dict[str, Any]:
        where = {"epoch": self._epoch, "cursor": list(self._before), "number": self._before_number}
        return {**where, "tokens": self._before_tokens, "gone": self._gone, "world": self.world}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state["world"] != self.world:
            message = f"{self.name} was read by {state['world']} ranks and is resumed by {self.world}"
            step = "Resume with as many ranks, or prepare the tokens: prepared shards allow any number."
            raise FailedPrecondition(message, reason="WORLD_SIZE_CHANGED", field="world_size", next_step=step)
        first, place = state["cursor"]
        self._begin(state["epoch"], (first, place), state["number"], state["tokens"])
        if state["gone"]:
            self._next_document()
            self._gone = state["gone"]

    def _begin(self, epoch: int, cursor: Cursor, number: int, tokens: int) -> None:
        """`number` documents and `tokens` own tokens of this epoch lie before the cursor."""
        self._epoch, self._after, self._number, self._tokens = epoch, cursor, number, tokens
        self._before, self._before_number, self._before_tokens = cursor, number, tokens
        self._reading: Iterator[tuple[Document, Cursor]] = self.source.read(cursor)
        self._ids: list[int] = []
        self._gone = 0

    def _next_document(self) -> None:
        document = self._own_document()
        while document is None:
            self._check_epoch()
            self._begin(self._epoch + 1, START, 0, 0)
            document = self._own_document()
        self._ids, self._gone = [*self.codec.document_ids(document.text), self.codec.eos], 0
        self._tokens += len(self._ids)

    def _own_document(self) -> Document | None:
        """This rank's next document of the epoch; keeps the place before it."""
        for document, after in self._reading:
            before = (self._after, self._number, self._tokens)
            self._after, self._number = after, self._number + 1
            if (self._number - 1) % self.world == self.rank:
                self._before, self._before_number, self._before_tokens = before
                return document
        return None

    def _check_epoch(self) -> None:
        """A corpus that does not fill one row would be repeated inside it; that is never what was meant."""
        if self._tokens < self.length:
            share = f"{self.name} (rank {self.rank} of {self.world})" if self.world > 1 else self.name
            reason = "CORPUS_TOO_SMALL" if self._number else "EMPTY_CORPUS"
            message = (
                f"{share} has {self._tokens:,} tokens in {self._number:,} documents: not one row of {self.length:,}"
            )
            step = "Bring more text or take shorter rows."
            raise InvalidInput(message, reason=reason, field=self.name, next_step=step)
