"""Drills show what they should, and nothing of a held-out problem."""

from __future__ import annotations

import functools
import re

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.rows import IGNORED, Row
from agentforge.data.splits import Split, split_of
from agentforge.data.tokenizer import SMALLEST_VOCABULARY, train_tokenizer
from agentforge.phase1_cognate.drills import NestedDrill, RecallDrill, recall_key


@functools.cache
def codec() -> Codec:
    texts = [ItemStream(name, Split.TRAIN, 0).item(i).text for name in ("recall", "nested") for i in range(200)]
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
    drill = RecallDrill(codec(), (2, 4), seed=1)
    values = [pair for number in range(20) for pair in learned(drill.row(number)) if pair[1].isdigit()]
    assert len(values) > 60
    for before, said in values:
        facts = dict(re.findall(r" ([a-z])(\d)", before))
        asked = before[-1]
        assert facts[asked] == said
        assert split_of(recall_key(asked, facts)) is Split.TRAIN


def test_every_second_row_echoes_its_keys() -> None:
    drill = RecallDrill(codec(), (2,), seed=1)
    echoes = [[said for _, said in learned(drill.row(number)) if not said.strip().isdigit()] for number in range(4)]
    assert [bool(each) for each in echoes] == [True, False, True, False]


def test_nested_labels_are_the_values_so_far() -> None:
    drill = NestedDrill(codec(), (1, 2, 3), seed=1)
    count = 0
    for number in range(60):
        row = drill.row(number)
        for before, said in learned(row):
            if " mod" not in before:
                expression = before.removeprefix("Q: ").lstrip("(")
                assert int(said) == eval("(" * expression.count(")") + expression) % 5
                count += 1
    assert count > 100


def test_nested_shows_no_value_of_another_split() -> None:
    """Neither as the answer nor on the way: behind ((3+4)*2 stands the answer of "Q: ((3+4)*2) mod 5 = A:"."""
    drill = NestedDrill(codec(), (1, 2, 3), seed=1)
    shown, hidden = 0, 0
    for number in range(200):
        row = drill.row(number)
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
