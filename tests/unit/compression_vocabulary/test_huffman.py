"""Codes for stored token ids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentforge.kit.errors import DataLoss, InvalidInput
from agentforge.phase8_compression.vocabulary.huffman import Huffman, code_lengths
from tests.unit.compression_vocabulary import toys

_COUNTS = st.lists(st.integers(0, 10**9), min_size=2, max_size=40)


@given(_COUNTS, st.data())
def test_ids_come_back(counts: list[int], data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=50))
    huffman = Huffman.of(np.array(counts))
    coded = huffman.encode(ids)
    assert Huffman.from_table(huffman.table, len(counts)).decode(coded) == ids
    assert len(coded) == 4 + -(-sum(int(huffman.lengths[each]) for each in ids) // 8)


def test_lengths_are_the_textbooks() -> None:
    assert code_lengths(np.array([45, 13, 12, 16, 9, 5])).tolist() == [1, 3, 3, 3, 4, 4]  # of Cormen et al.


def test_text_costs_between_its_entropy_and_one_bit_more() -> None:
    ids = [number for text in toys.documents()[:40] for number in toys.codec().document_ids(text.text)]
    huffman = Huffman.of(np.bincount(ids, minlength=toys.LARGE))
    found = huffman.bits_per_token(ids)
    assert found.entropy <= found.huffman < found.entropy + 1 < found.fixed == 10
    assert (len(huffman.encode(ids)) - 4) * 8 == pytest.approx(found.huffman * len(ids), abs=8)


def test_what_is_damaged_is_refused() -> None:
    huffman = Huffman.of(np.array([5, 3, 1, 1]))
    coded, table = huffman.encode([0, 1, 2, 3] * 5), huffman.table
    for broken in (b"", coded[:3], coded[:-1], coded + b"\0"):
        with pytest.raises(DataLoss):
            huffman.decode(broken)
    for broken in (b"", table[:-1], table[:1] + b"\xff" * (len(table) - 1)):
        with pytest.raises(DataLoss):
            Huffman.from_table(broken, 4)
    with pytest.raises(InvalidInput, match="outside the vocabulary of 4"):
        huffman.encode([4])
