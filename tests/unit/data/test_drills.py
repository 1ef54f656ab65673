"""Drills show what they should, and nothing of a held-out problem."""

from __future__ import annotations

import functools
import re

import pytest

from agentforge.data.codec import Codec
from agentforge.data.drills import (
    DRILLS,
    ArithmeticDrill,
    NestedDrill,
    NestedEasyDrill,
    RecallDrill,
    drill,
    recall_key,
)
from agentforge.data.generate import ItemStream
from agentforge.data.rows import IGNORED, Row
from agentforge.data.splits import Split, split_of
from agentforge.data.tokenizer import SMALLEST_VOCABULARY, train_tokenizer


@functools.cache
def codec() -> Codec:
    families = ("recall", "nested", "arithmetic")
    texts = [ItemStream(name, Split.TRAIN, 0).item(i).text for name in families for i in range(200)]
    return Codec(train_tokenizer(texts, SMALLEST_VOCABULARY + 10))


def learned(row: Row) -> list[tuple[str, str]]:
    """(text before, what is to be said) of each label."""
    places = [place for place, label in enumerate(row.labels) if label != IGNORED]
    return [(codec().text(row.ids[:p].tolist()), codec().text([int(row.labels[p])])) for p in places]


def test_the_key_is_the_one_that_the_family_hashes() -> None:
    for number in range(50):
        item = ItemStream("recall", Split.TEST, 3, (3,)).item(number)
        facts, asked = re.findall(r" ([a-z])(\d)", item.prompt), item.prompt.split()[-2]
        assert recall_key(asked, dict(facts)) == item.canonical


def test_recall_asks_only_for_what_was_said_and_only_of_train() -> None:
    source = RecallDrill(codec(), (2, 4), seed=1)
    values = [pair for number in range(20) for pair in learned(source.row(number)) if pair[1].isdigit()]
    assert len(values) > 60
    for before, said in values:
        facts = dict(re.findall(r" ([a-z])(\d)", before))
        asked = before[-1]
        assert facts[asked] == said
        assert split_of(recall_key(asked, facts)) is Split.TRAIN


def test_every_second_row_echoes_its_keys() -> None:
    source = RecallDrill(codec(), (2,), seed=1)
    echoes = [
        [said for _, said in learned(source.row(number)) if not said.strip().isdigit()] for number in range(4)
    ]
    assert [bool(each) for each in echoes] == [True, False, True, False]


@pytest.mark.parametrize("made", [NestedDrill, NestedEasyDrill])
def test_nested_labels_are_the_values_so_far(made: type[NestedDrill]) -> None:
    source = made(codec(), (1, 2, 3), seed=1)
    count = 0
    for number in range(60):
        row = source.row(number)
        for before, said in learned(row):
            if " mod" not in before:
                expression = before.removeprefix("Q: ").lstrip("(")
                assert int(said) == eval("(" * expression.count(")") + expression) % 5
                count += 1
    assert count > 100


@pytest.mark.parametrize("made", [NestedDrill, NestedEasyDrill])
def test_nested_shows_no_value_of_another_split(made: type[NestedDrill]) -> None:
    """Neither as the answer nor on the way: behind ((3+4)*2 stands the answer of "Q: ((3+4)*2) mod 5 = A:"."""
    source = made(codec(), (1, 2, 3), seed=1)
    shown, hidden = 0, 0
    for number in range(200):
        row = source.row(number)
        text = codec().text(row.ids.tolist())
        for before, _ in learned(row):
            expression = before.removeprefix("Q: ").partition(" mod")[0].rstrip(")").lstrip("(")
            if re.fullmatch(r"\d", expression):
                continue  # the first number is no problem
            depth = expression.count(")") + 1
            assert split_of(f"{'(' * depth}{expression}) mod 5") is Split.TRAIN, text
            shown += 1
        hidden += len(re.findall(r"\d", text.partition(" mod")[0])) - len(learned(row)) > 0
    assert shown > 300
    assert hidden > 10


def test_half_of_the_easy_rows_begin_with_what_can_be_read() -> None:
    source = NestedEasyDrill(codec(), (1, 2, 3), seed=1)
    texts = [codec().text(source.row(number).ids.tolist()) for number in range(200)]
    assert all("((" in text for text in texts)  # none of depth 1
    read = [re.search(r"\((0\+|1\*)\d", text) is not None for text in texts]
    assert 90 < sum(read) < 140


def test_easy_rows_keep_to_the_depths_they_are_given() -> None:
    source = NestedEasyDrill(codec(), (1,), seed=1)
    assert not any("((" in codec().text(source.row(number).ids.tolist()) for number in range(20))


def test_sums_show_columns_then_the_carry_then_the_answer_from_the_tens() -> None:
    source = ArithmeticDrill(codec(), (2,), seed=1)
    columns, tails = 0, 0
    for number in range(150):
        row = source.row(number)
        left, right = re.findall(r"\d+", codec().text(row.ids.tolist()))[:2]
        for before, said in learned(row):
            if before.endswith("="):
                assert int(said) == (int(left[-1]) + int(right[-1]) > 9)
                tails += 1
            elif before.endswith(" A"):
                assert int(said) == (int(left) + int(right)) // 10 % 10
            elif "=" not in before:
                power = len(right) - len(before.rpartition(" ")[2])
                assert int(said) == (int(left) // 10**power + int(right) // 10**power) % 10
                columns += 1
        assert (
            codec().text(row.labels[row.labels != IGNORED].tolist()).endswith(f" {int(left) + int(right)}<|eos|>")
        )
    assert tails == 150
    assert columns > 180


def test_sums_of_three_digits_have_labels_for_three_columns() -> None:
    rows = [ArithmeticDrill(codec(), (3,), seed=1).row(number) for number in range(20)]
    assert max(sum("=" not in before for before, _ in learned(row)) for row in rows) == 3


def test_sums_show_no_answer_of_another_split() -> None:
    """Of a sum of two digits, in a column, neither."""
    source = ArithmeticDrill(codec(), (1, 2), seed=1)
    shown, hidden = 0, 0
    for number in range(300):
        row = source.row(number)
        left, right = re.findall(r"\d+", codec().text(row.ids.tolist()))[:2]
        assert split_of(_key(int(left), int(right))) is Split.TRAIN
        places = [len(before.rpartition(" ")[2]) for before, _ in learned(row) if "=" not in before]
        for place in range(1, 3 if len(right) == 2 else 1):
            power = 10 ** (2 - place)
            train = split_of(_key(int(left) // power % 10, int(right) // power % 10)) is Split.TRAIN
            assert (place in places) == train
            shown, hidden = shown + train, hidden + (not train)
    assert shown > 100
    assert hidden > 10


def _key(left: int, right: int) -> str:
    return f"{min(left, right)} + {max(left, right)}"


def test_a_drill_has_the_difficulties_of_its_family() -> None:
    asked = {"recall": (2,), "nested": (3,), "arithmetic": (1,)}
    for name in DRILLS:
        made = drill(name, codec(), lambda family: asked[family], seed=1)
        assert made.name == name
        assert made.difficulties == asked[made.family]
        assert (drill(name, codec(), lambda family: asked[family], seed=1).row(7).ids == made.row(7).ids).all()
