"""Data sets of the Hugging Face hub, by name, streamed. Pin a revision: without one the data may change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentforge.data.sources.documents import START, Cursor, Document, optional
from agentforge.kit.errors import InvalidInput, NotFound, Unavailable


class HubSource:
    def __init__(
        self,
        dataset: str,
        *,
        part: str = "train",
        field: str = "text",
        config: str | None = None,
        revision: str | None = None,
    ) -> None:
        self.dataset, self.part, self.field = dataset, part, field
        self.config, self.revision = config, revision
        self.name = f"hub/{dataset}"
        self._library = optional("datasets", "datasets", "reading the Hugging Face hub")

    def read(self, cursor: Cursor = START) -> Iterator[tuple[Document, Cursor]]:
        _, start = cursor
        for row, record in enumerate(self._records(start), start):
            text = record.get(self.field)
            if not isinstance(text, str):
                step = f"It has: {', '.join(record)}."
                message = f"{self.dataset} has no text in field {self.field!r}"
                raise InvalidInput(message, reason="NO_FIELD", field=self.field, next_step=step)
            yield Document(text, f"{self.dataset}@{row}"), (0, row + 1)

    def _records(self, start: int) -> Iterator[dict[str, Any]]:
        try:
            stream = self._library.load_dataset(
                self.dataset, self.config, split=self.part, revision=self.revision, streaming=True
            )
            yield from stream.skip(start)
        except FileNotFoundError as error:  # datasets' own "not found" is one
            message = f"there is no data set {self.dataset!r}: {error}"
            raise NotFound(message, reason="DATASET_NOT_FOUND", field=self.dataset) from error
        except (ConnectionError, OSError) as error:
            step = "Check the network, or download it and bring it as files."
            message = f"cannot reach the data set {self.dataset!r}: {error}"
            raise Unavailable(message, field=self.dataset, next_step=step) from error
