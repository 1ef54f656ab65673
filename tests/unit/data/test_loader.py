from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentforge.data.generate import ItemStream
from agentforge.data.loader import Batch, Loader, Prefetch
from agentforge.data.permute import permuted
from agentforge.data.rows import IGNORED, FixedItems, ItemRows, Row, RowSource
from agentforge.data.sources.documents import SplitSource
from agentforge.data.splits import Split
from agentforge.data.streams import StreamRows
from agentforge.kit.errors import FailedPrecondition, InvalidInput
from tests.unit.data.helpers import ListSource, story, tiny_codec

CODEC = tiny_codec()
STORIES = ListSource([story(number, words=5 + number % 90) for number in range(60)])


def item_rows(name: str = "arithmetic", **options: Any) -> ItemRows:
    return ItemRows(ItemStream(name, Split.TRAIN, 0), CODEC, 64, **options)


def loader(*sources: RowSource, **options: Any) -> Loader:
    settings = {"batch": 3, "pad": CODEC.pad, "seed": 5, **options}
    return Loader([(source, 1.0 + place) for place, source in enumerate(sources)], **settings)


def same(left: Iterable[Batch], right: Iterable[Batch]) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for a, b in zip(left, right, strict=True)
        for name in ("input_ids", "labels", "attention_mask", "source")
    )


def test_loss_is_on_the_answer_alone() -> None:
    batch = next(loader(item_rows(), batch=8))
    for ids, labels, mask in zip(batch.input_ids, batch.labels, batch.attention_mask, strict=True):
        text, answer = CODEC.text(ids[mask == 1].tolist()), CODEC.text(ids[labels != IGNORED].tolist())
        assert text.endswith(f"A:{answer}")
        assert answer.endswith("<|eos|>")
        assert (labels[mask == 0] == IGNORED).all()
        assert (ids[mask == 0] == CODEC.pad).all()


def test_packed_rows_hold_whole_items() -> None:
    rows = item_rows(packed=True)
    for number in range(20):
        row = rows.row(number)
        text = CODEC.text(row.ids.tolist())
        assert 40 < len(row.ids) <= 64
        assert text.startswith("Q: ")
        assert text.endswith("<|eos|>")
    assert not np.array_equal(rows.row(0).ids, rows.row(1).ids)


def test_padding_is_to_the_longest_or_fixed() -> None:
    assert next(loader(item_rows())).input_ids.shape[1] < 64
    assert next(loader(item_rows(), length=64)).input_ids.shape == (3, 64)


def test_torch_tensors_are_what_models_take() -> None:
    tensors = next(loader(item_rows())).torch()
    assert set(tensors) == {"input_ids", "labels", "attention_mask"}
    assert str(tensors["labels"].dtype) == "torch.int64"


class Doubled(ItemRows):
    """Each row has itself, said twice, beside it."""

    def row(self, number: int) -> Row:
        row = super().row(number)
        return replace(row, beside=Row(np.tile(row.ids, 2), np.tile(row.labels, 2)))


def test_what_is_beside_rows_goes_with_them() -> None:
    rows = Doubled(ItemStream("arithmetic", Split.TRAIN, 1), tiny_codec(), 40)
    batch = next(loader(rows))
    tensors = batch.torch()
    assert tensors["beside_input_ids"].shape[1] == 2 * tensors["input_ids"].shape[1]
    part = batch.rows(slice(1, 2))
    assert part.beside is not None
    assert batch.beside is not None
    assert np.array_equal(part.beside.input_ids, batch.beside.input_ids[1:2])


def test_all_rows_of_a_batch_have_something_beside_them_or_none() -> None:
    rows = Doubled(ItemStream("arithmetic", Split.TRAIN, 1), tiny_codec(), 40)
    with pytest.raises(ValueError, match="beside"):
        list(islice(loader(rows, item_rows("recall")), 20))


def test_rows_weights_are_handed_on() -> None:
    weighed = replace(next(loader(item_rows())), weight=np.array([0.5, 0.0, -1.0], np.float32)).torch()
    assert set(weighed) == {"input_ids", "labels", "attention_mask", "weight"}
    assert weighed["weight"].tolist() == [0.5, 0.0, -1.0]
    assert str(weighed["weight"].dtype) == "torch.float32"


def make_loader() -> Loader:
    stream = StreamRows(SplitSource(STORIES, Split.TRAIN), CODEC, 48)
    fixed = FixedItems(ItemStream("recall", Split.TRAIN, 0).distinct(10), seed=1)
    return loader(item_rows(), item_rows("nested", packed=True), ItemRows(fixed, CODEC, 64), stream)


@given(steps=st.integers(0, 40))
def test_resume_is_bit_equal(steps: int) -> None:
    first = make_loader()
    list(islice(first, steps))
    state = json.loads(json.dumps(first.state_dict()))
    resumed = make_loader()
    resumed.load_state_dict(state)
    assert same(islice(first, 10), islice(resumed, 10))
    assert first.state_dict() == resumed.state_dict()


@given(rows=st.integers(0, 200), length=st.integers(1, 300), world=st.integers(1, 3))
def test_streams_resume_to_the_exact_token(rows: int, length: int, world: int) -> None:
    def make() -> StreamRows:
        return StreamRows(STORIES, CODEC, length, rank=world - 1, world=world)

    first = make()
    for number in range(rows):
        first.row(number)
    resumed = make()
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for _ in range(5):
        assert np.array_equal(first.row(0).ids, resumed.row(0).ids)


def test_streams_lose_and_repeat_nothing() -> None:
    whole = [token for text in STORIES.texts for token in [*CODEC.document_ids(text), CODEC.eos]]
    stream = StreamRows(STORIES, CODEC, 37)
    read = [token for number in range(2 * len(whole) // 37 + 1) for token in stream.row(number).ids.tolist()]
    assert read[: 2 * len(whole)] == whole + whole


def test_ranks_share_out_a_streams_documents() -> None:
    starts = []
    for rank in range(3):
        stream = StreamRows(STORIES, CODEC, 20, rank=rank, world=3)
        starts.append(CODEC.text(stream.row(0).ids.tolist()))
    assert all(STORIES.texts[rank].startswith(start.split("<|eos|>")[0]) for rank, start in enumerate(starts))


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_together_see_what_one_rank_sees(world: int) -> None:
    sources = (item_rows(), item_rows("recall", packed=True))
    alone = loader(*sources, batch=8, length=64)
    ranks = [loader(*sources, batch=8 // world, length=64, rank=rank, world=world) for rank in range(world)]
    for _ in range(5):
        together = np.concatenate([next(rank).input_ids for rank in ranks])
        assert np.array_equal(next(alone).input_ids, together)
    assert ranks[0].state_dict() == alone.state_dict()  # so a run may go on with another number of ranks


def test_weights_are_kept() -> None:
    made = Loader([(item_rows(), 3.0), (item_rows("recall"), 1.0)], batch=100, pad=0, seed=0)
    picks = np.concatenate([next(made).source for _ in range(10)])
    assert (picks == 0).mean() == pytest.approx(0.75, abs=0.04)


def test_fixed_items_come_once_per_epoch_in_changing_order() -> None:
    items = ItemStream("nested", Split.TRAIN, 0).distinct(50)
    fixed = FixedItems(items, seed=3)
    epochs = [[fixed.item(epoch * 50 + place) for place in range(50)] for epoch in range(2)]
    assert epochs[0] != epochs[1]
    for epoch in epochs:
        assert sorted(item.prompt for item in epoch) == sorted(item.prompt for item in items)


@given(count=st.integers(1, 500), key=st.integers(0, 2**63))
def test_permutation_hits_every_place(count: int, key: int) -> None:
    assert sorted(permuted(place, count, key) for place in range(count)) == list(range(count))


def test_permutation_looks_random() -> None:
    order = np.array([permuted(place, 5_000, 12345) for place in range(5_000)])
    assert abs(np.corrcoef(order, np.arange(5_000))[0, 1]) < 0.05
    assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 0.05


def test_prefetch_gives_the_same_batches_and_its_state_is_of_what_was_given() -> None:
    plain, ahead = make_loader(), Prefetch(make_loader())
    assert same(islice(plain, 10), islice(ahead, 10))
    assert ahead.state_dict() == plain.state_dict()
    ahead.close()


def test_prefetch_raises_what_the_loader_raises() -> None:
    ahead = Prefetch(loader(StreamRows(ListSource(["x"]), CODEC, 64)))
    for _ in range(2):
        with pytest.raises(InvalidInput, match="not one row of 64"):
            next(ahead)
    ahead.close()
    with pytest.raises(RuntimeError, match="closed"):
        next(ahead)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: StreamRows(ListSource([]), CODEC, 64).row(0), "EMPTY_CORPUS"),
        (lambda: StreamRows(ListSource(["x"]), CODEC, 64).row(0), "CORPUS_TOO_SMALL"),
        (lambda: StreamRows(ListSource([story(1)]), CODEC, 64, rank=1, world=2).row(0), "CORPUS_TOO_SMALL"),
        (lambda: ItemRows(ItemStream("recall_long", Split.TRAIN, 0), CODEC, 64).row(0), "ITEM_TOO_LONG"),
        (lambda: FixedItems([], 0), "EMPTY_CORPUS"),
        (lambda: Loader([(item_rows(), -1.0)], batch=1, pad=0, seed=0), "BAD_WEIGHTS"),
        (lambda: Loader([], batch=1, pad=0, seed=0), "BAD_WEIGHTS"),
    ],
)
def test_bad_input(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        make()
    assert caught.value.reason == reason


def test_a_changed_run_is_not_resumed() -> None:
    state = loader(item_rows()).state_dict()
    for other, field in (
        (loader(item_rows(), seed=6), "data.seed"),
        (loader(item_rows(), batch=4), "data.rows_per_step"),
        (loader(item_rows("recall")), "data.names"),
    ):
        with pytest.raises(FailedPrecondition) as caught:
            other.load_state_dict(state)
        assert caught.value.field == field
    stream = StreamRows(STORIES, CODEC, 8, world=2).state_dict()
    with pytest.raises(FailedPrecondition, match="was read by 2 ranks and is resumed by 1") as caught:
        StreamRows(STORIES, CODEC, 8).load_state_dict(stream)
    assert caught.value.reason == "WORLD_SIZE_CHANGED"
