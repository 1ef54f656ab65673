"""Which tokens are kept, by what they save."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, models

from agentforge.data.sources.documents import Document
from agentforge.data.splits import Split
from agentforge.data.tokenizer import SMALLEST_VOCABULARY, wrap
from agentforge.kit.errors import FailedPrecondition, InvalidInput
from agentforge.phase8_compression.vocabulary.bytelevel import opened
from agentforge.phase8_compression.vocabulary.choose import choose, smallest_size
from agentforge.phase8_compression.vocabulary.usage import usage
from tests.unit.compression_vocabulary import toys


def test_usage_counts_what_is_encoded_and_no_held_out_item() -> None:
    codec, items = toys.codec(), toys.items()
    expected = np.bincount(np.concatenate([codec.item_ids(item)[0] for item in items]), minlength=toys.LARGE)
    assert (usage(codec, items=items) == expected).all()
    text = Document("one two", "here")
    assert usage(codec, documents=[text]).sum() == len(codec.document_ids("one two")) + 1
    for split in (Split.SELECTION, Split.TEST):
        with pytest.raises(FailedPrecondition, match=f"belongs to the {split} split"):
            usage(codec, items=toys.items(split))


def test_the_price_told_is_that_of_rewriting_what_was_counted() -> None:
    """By way of the texts themselves: each dropped token taken apart by its merges, until all pieces are kept."""
    parts, kept = opened(toys.tokenizer()).parts(), set(toys.choice().kept)

    def pieces(number: int) -> int:
        return 1 if number in kept else sum(pieces(part) for part in parts[number])

    total = sum(count * pieces(number) for number, count in enumerate(toys.counts().tolist()))
    assert toys.choice().rewritten == total > toys.choice().tokens == toys.counts().sum()


def test_no_exchange_of_a_token_saves_more() -> None:
    given, kept = opened(toys.tokenizer()), set(toys.choice().kept)
    parts = given.parts()

    def length(chosen: set[int]) -> int:
        def pieces(number: int) -> int:
            return 1 if number in chosen else sum(pieces(part) for part in parts[number])

        return sum(count * pieces(number) for number, count in enumerate(toys.counts().tolist()))

    parts_of_kept = {part for number in kept & parts.keys() for part in parts[number]}
    leaves = sorted(kept & parts.keys() - parts_of_kept)
    others = [number for number in sorted(parts.keys() - kept) if set(parts[number]) <= kept]
    assert leaves
    assert others
    for gone in leaves[::7]:
        for come in others[::7]:
            if gone not in parts[come]:
                assert length(kept - {gone} | {come}) >= toys.choice().rewritten


def test_specials_and_bytes_come_first_and_always() -> None:
    given, kept = opened(toys.tokenizer()), toys.choice(SMALLEST_VOCABULARY).kept
    assert set(kept) == set(given.always)
    assert len(kept) == smallest_size(toys.tokenizer()) == SMALLEST_VOCABULARY
    assert kept[:24] == tuple(range(24))
    assert len(toys.choice().kept) == toys.SMALL


@pytest.mark.parametrize(
    ("size", "told"),
    [(SMALLEST_VOCABULARY - 1, f"at least {SMALLEST_VOCABULARY}"), (toys.LARGE + 1, f"at most {toys.LARGE}")],
)
def test_sizes_that_cannot_be_are_refused(size: int, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        choose(toys.tokenizer(), toys.counts(), size)
    assert told in caught.value.next_step


def test_counts_of_another_tokenizer_are_refused() -> None:
    with pytest.raises(InvalidInput, match="counts of 3 tokens"):
        choose(toys.tokenizer(), np.ones(3, np.int64), toys.SMALL)


def test_other_tokenizers_are_refused_by_what_they_lack() -> None:
    words = wrap(Tokenizer(models.WordLevel({"<|eos|>": 0, "a": 1}, unk_token="a")))
    with pytest.raises(InvalidInput, match="WordLevel and not BPE"):
        choose(words, np.ones(2, np.int64), 300)
    characters = wrap(Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")])))
    with pytest.raises(InvalidInput, match="no ByteLevel pre-tokenizer"):
        choose(characters, np.ones(3, np.int64), 300)
