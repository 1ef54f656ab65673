"""The same words behind a prompt and without: labels agree, epochs are whole, what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.loader import Loader
from agentforge.data.rows import IGNORED, ItemRows
from agentforge.data.splits import Split
from agentforge.kit.errors import InvalidInput
from agentforge.phase6_baking.bake.pairs import Anchored, Pair, PairRows, item_pair
from tests import pico


def codec() -> Codec:
    return Codec(pico.tokenizer())


def items(family: str, count: int = 6) -> list[Pair]:
    return [item_pair(item, codec()) for item in ItemStream(family, Split.TRAIN, 0).distinct(count)]


def test_both_rows_learn_the_same_tokens_in_the_same_order() -> None:
    rows = PairRows(items("persona") + items("tool_calculator"), codec(), 200, 1, "both")
    batch = next(Loader([(rows, 1.0)], batch=24, pad=codec().pad, seed=1))
    assert batch.beside is not None
    assert batch.beside.input_ids.shape[1] > batch.input_ids.shape[1]  # the prompt
    for bare, prompted in zip(batch.labels, batch.beside.labels, strict=True):
        assert bare[bare != IGNORED].tolist() == prompted[prompted != IGNORED].tolist()


def test_a_tools_result_is_read_but_not_learned() -> None:
    pair = items("tool_calculator", 1)[0]
    result = codec().ids("<|result|>")[0]
    place = pair.said.index(result)
    assert not pair.learned[place]
    assert pair.said[-1] == codec().eos
    assert pair.learned[-1]
    row = pair.row()
    assert row.ids.tolist() == pair.bare + pair.said
    assert row.beside is not None
    assert row.beside.ids.tolist() == pair.prompted + pair.said
    assert row.labels[len(pair.bare) + place] == IGNORED


def test_an_item_without_a_prefix_is_an_anchor() -> None:
    assert all(pair.anchor for pair in items("arithmetic"))
    assert not any(pair.anchor for pair in items("persona"))


def test_an_epoch_takes_every_pair_once_and_the_next_one_in_another_order() -> None:
    pairs = items("persona", 20)
    rows = PairRows(pairs, codec(), 200, 1, "epochs")
    epochs = [[tuple(rows.row(20 * epoch + n).ids) for n in range(20)] for epoch in range(2)]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(tuple(pair.bare + pair.said) for pair in pairs)


def test_rows_of_any_source_can_be_anchors() -> None:
    source = ItemRows(ItemStream("copy", Split.TRAIN, 0), codec(), 48)
    row, plain = Anchored(source).row(3), source.row(3)
    assert row.beside is not None
    assert np.array_equal(row.beside.ids, plain.ids)
    assert np.array_equal(row.labels, plain.labels)


def test_a_prompt_that_leaves_no_room_is_refused() -> None:
    pair = Pair([5] * 40, [5], [6, 7], [True, True])
    PairRows([pair], codec(), 42, 1, "fits")
    with pytest.raises(InvalidInput, match="the prompt has 40 tokens") as found:
        PairRows([pair], codec(), 40, 1, "long")
    assert (found.value.reason, found.value.field) == ("PROMPT_TOO_LONG", "prompt")
    with pytest.raises(InvalidInput, match="prompt and answer have 42 tokens") as found:
        PairRows([pair], codec(), 41, 1, "long")
    assert found.value.reason == "ITEM_TOO_LONG"


def test_nothing_to_bake_is_refused() -> None:
    with pytest.raises(InvalidInput) as found:
        PairRows([], codec(), 48, 1, "empty")
    assert found.value.reason == "EMPTY_CORPUS"
