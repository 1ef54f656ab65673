"""The held-out questions that candidates are judged by: items of task families, and documents where wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agentforge.data.codec import Codec
from agentforge.data.generate import items_by_family
from agentforge.data.items import Item
from agentforge.data.sources.documents import Document
from agentforge.data.splits import Split, assert_split
from agentforge.kit.errors import FailedPrecondition, InvalidInput
from agentforge.phase2_evomerge.evaluation.batches import Encoded, Question, encoded
from agentforge.train.evaluate import cut

TEXT = "text"  # the documents' name among the families; they have a loss and no accuracy
_HELD_OUT = (Split.SELECTION, Split.TEST)


@dataclass(frozen=True)
class Questions:
    split: Split
    items: Mapping[str, Sequence[Item]]  # by family
    documents: Sequence[Document] = ()

    def __post_init__(self) -> None:
        if self.split not in _HELD_OUT:
            message = f"the {self.split} split is not held out from training and calibration"
            raise FailedPrecondition(message, reason="WRONG_SPLIT", field=str(self.split))
        if not self.items or not all(self.items.values()):
            message = "there is no family to ask questions of, or one without items"
            raise InvalidInput(message, reason="NO_QUESTIONS", field="families", next_step="Name one.")
        assert_split((item.canonical for each in self.items.values() for item in each), self.split)
        assert_split((document.key or document.text.strip() for document in self.documents), self.split)

    @classmethod
    def drawn(
        cls,
        families: Mapping[str, Sequence[int]],
        split: Split,
        *,
        count: int,
        seed: int,
        documents: Sequence[Document] = (),
    ) -> Questions:
        """`count` different items of each family, or all where it has fewer. Without difficulties: its starters."""
        items = items_by_family(families, split, count, seed, field="evaluation.families")
        return cls(split, items, documents)

    def encoded(
        self, codec: Codec, *, context: int | None, text_length: int = 256, text_bytes: int = 2_000, batch: int = 64
    ) -> Encoded:
        """For one tokenizer. `context`: tokens that the model sees, None without limit. Of documents the first
        `text_bytes` characters are read, in rows of `text_length` tokens, the first of each given."""
        families = {name: [_question(codec, item, context) for item in self.items[name]] for name in self.items}
        if self.documents:
            length = text_length if context is None else min(text_length, context)
            texts = [document.text[:text_bytes] for document in self.documents]
            families[TEXT] = [row for text in texts for row in _text_rows(codec, text, length)]
        found = encoded(families, codec, split=self.split, scored=tuple(sorted(self.items)), batch=batch)
        return replace(found, prompts={name: self.items[name][0].prompt for name in found.scored})


def _question(codec: Codec, item: Item, context: int | None) -> Question:
    ids, learned = codec.item_ids(item)
    if context is not None and len(ids) > context:
        message = f"an item of {item.family} has {len(ids)} tokens, the model sees {context}: {item.text[:60]!r}…"
        step = f"Take lower difficulties of {item.family}, or a model that sees more."
        raise InvalidInput(message, reason="SEQUENCE_TOO_LONG", field=item.family, next_step=step)
    return Question(ids, learned)


def _text_rows(codec: Codec, text: str, length: int) -> list[Question]:
    rows = cut([*codec.document_ids(text), codec.eos], length)
    return [Question(row, [False] + [True] * (len(row) - 1)) for row in rows]
