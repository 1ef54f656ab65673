from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentforge.data.generate import ItemStream, capacity, items_by_family
from agentforge.data.splits import SHARES, Split, assert_disjoint, assert_split, split_of
from agentforge.data.tasks import FAMILIES
from agentforge.data.tasks.nested import Nested
from agentforge.kit.errors import FailedPrecondition, InvalidInput


def test_splits_never_move() -> None:
    """Golden values: a change here would put held-out items into training."""
    assert [split_of(key) for key in ("17 + 25", "a", "7 + 8", "b n")] == [
        Split.TEST, Split.TRAIN, Split.TRAIN, Split.TRAIN,
    ]  # fmt: skip


def test_shares_are_as_promised() -> None:
    counts = Counter(split_of(str(number)) for number in range(20_000))
    for split, share in SHARES.items():
        assert counts[split] / 20_000 == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("name", FAMILIES)
@given(seeds=st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)))
def test_splits_never_meet_across_seeds(name: str, seeds: tuple[int, int]) -> None:
    keys: dict[str, set[str]] = {
        split: {ItemStream(name, split, seed).item(number).canonical for seed in seeds for number in range(2)}
        for split in Split
    }
    assert_disjoint(keys)
    for name_of_split, members in keys.items():
        assert_split(members, Split(name_of_split))


def test_forms_of_one_problem_share_their_split() -> None:
    plain, steps, styled = (
        {item.key: item.split for item in FAMILIES[name].space(1)}
        for name in ("arithmetic", "arithmetic_steps", "persona")
    )
    assert plain == steps == styled
    nested, worked = (
        {item.key: item.split for item in FAMILIES[name].space(2)} for name in ("nested", "nested_steps")
    )
    assert nested == worked
    assert "3 + 2" not in plain
    assert "2 + 3" in plain


def test_meeting_splits_are_named() -> None:
    with pytest.raises(FailedPrecondition, match="'train' and 'test' share the item 'x'"):
        assert_disjoint({"train": ["x", "y"], "test": ["z", "x"]})
    with pytest.raises(FailedPrecondition, match="belongs to the test split, not to train"):
        assert_split(["17 + 25"], Split.TRAIN)


def test_capacity_counts_two_digit_sums() -> None:
    counted = capacity("arithmetic", 2)
    assert counted is not None
    assert sum(counted.values()) == 10_000
    assert len(ItemStream("arithmetic", Split.TEST, 0, (2,)).distinct(counted[Split.TEST])) == counted[Split.TEST]
    assert capacity("recall", 4) is None


def test_too_many_distinct_items_is_an_error() -> None:
    stream = ItemStream("arithmetic", Split.TEST, 0, (2,))
    with pytest.raises(
        InvalidInput, match=r"arithmetic/test at digits \(2,\) has \d+ different items; 5,000"
    ) as caught:
        stream.distinct(5_000)
    assert caught.value.reason == "TOO_FEW_ITEMS"
    assert len(stream.distinct(5_000, all_if_fewer=True)) < 2_000


def test_distinct_items_are_distinct_and_seeded() -> None:
    for name in ("nested", "recall"):
        items = ItemStream(name, Split.TEST, 7).distinct(200)
        assert len({item.prompt for item in items}) == 200
        assert items == ItemStream(name, Split.TEST, 7).distinct(200)
        assert items != ItemStream(name, Split.TEST, 8).distinct(200)


def test_items_by_family_are_those_of_its_stream_and_never_none(monkeypatch: pytest.MonkeyPatch) -> None:
    found = items_by_family({"recall": [], "nested": [1]}, Split.TEST, 50, 7, field="data.families")
    few = ItemStream("nested", Split.TEST, 7, (1,)).distinct(50, all_if_fewer=True)
    assert 0 < len(few) < 50
    assert list(found.items()) == [("nested", few), ("recall", ItemStream("recall", Split.TEST, 7).distinct(50))]
    monkeypatch.setattr(ItemStream, "distinct", lambda *given, **options: [])
    with pytest.raises(InvalidInput, match="nested has no item in the test split") as caught:
        items_by_family({"nested": [1]}, Split.TEST, 50, 7, field="data.families")
    assert (caught.value.reason, caught.value.field) == ("SPLIT_EMPTY", "data.families.nested")


def test_an_empty_split_and_a_wrong_difficulty_are_refused() -> None:
    small = Nested("small", "", "depth", range(1, 2), (1,), modulus=2)
    empty = next(split for split, count in (capacity(small, 1) or {}).items() if count == 0)
    with pytest.raises(InvalidInput, match="has no item in the") as caught:
        ItemStream(small, empty, 0).item(0)
    assert caught.value.reason == "SPLIT_EMPTY"
    with pytest.raises(InvalidInput, match=r"digits from 1 to 3, not \[9\]"):
        ItemStream("arithmetic", Split.TEST, 0, (9,))
    with pytest.raises(InvalidInput, match="Did you mean 'nested'"):
        ItemStream("nestd", Split.TEST, 0)
