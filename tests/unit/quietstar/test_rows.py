"""Worked rows: the plain item's tokens with a thought among the answer's, and what of it is learned."""

from __future__ import annotations

import functools
import random
import subprocess
import sys

import pytest

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.items import Item
from agentforge.data.rows import IGNORED, FixedItems, ItemRows, Items
from agentforge.data.splits import Split
from agentforge.data.tasks import FAMILIES
from agentforge.kit.errors import InvalidInput
from agentforge.models.thoughts.tokens import Marks, find_marks
from agentforge.phase3_quietstar.rows import ThoughtRows
from tests import pico

PLAIN = {"arithmetic_steps": "arithmetic", "nested_steps": "nested", "chain_steps": "chain"}
SUM = Item("arithmetic_steps", "Q: 32 + 70 = S:", "102", 2, "2 + 0 = 2 ; 3 + 7 = 10")
TOLD = "<|startofthought|> 2 + 0 = 2 ; 3 + 7 = 10<|endofthought|>"


@functools.cache
def codec() -> Codec:
    return Codec(pico.tokenizer())


def marks() -> Marks:
    return find_marks(pico.tokenizer())


def rows(items: Items, length: int = 400, longest: int = 200, seed: int = 0) -> ThoughtRows:
    return ThoughtRows(items, codec(), marks(), length, longest, seed)


def one(item: Item, **limits: int) -> ThoughtRows:
    return rows(FixedItems([item], 0), **limits)


def parted(ids: list[int]) -> tuple[list[int], list[int]]:
    """(the text's tokens, the thought with its marks)."""
    start, end = ids.index(marks().start), ids.index(marks().end) + 1
    return ids[:start] + ids[end:], ids[start:end]


@pytest.mark.parametrize("name", PLAIN)
def test_without_its_thought_a_row_is_the_plain_familys(name: str) -> None:
    for seed in range(10):
        plain, worked = (FAMILIES[each].draw(random.Random(seed), 2) for each in (PLAIN[name], name))
        text, thought = parted(one(worked).row(0).ids.tolist())
        assert text == ItemRows(FixedItems([plain], 0), codec(), 400).row(0).ids.tolist()
        assert codec().text(thought) == f"<|startofthought|> {worked.scratchpad}<|endofthought|>"


def test_a_thought_stands_before_any_token_of_the_answer_and_never_before_the_end() -> None:
    found = {codec().text(one(SUM).row(number).ids.tolist()) for number in range(40)}
    answers = (f"{TOLD} 102", f" {TOLD}102", f" 1{TOLD}02", f" 10{TOLD}2")  # the pico tokens are bytes
    assert found == {f"Q: 32 + 70 = A:{answer}<|eos|>" for answer in answers}


def test_the_thought_but_not_its_beginning_is_learned_and_all_of_the_answer() -> None:
    for number in range(10):
        row = one(SUM).row(number)
        learned = row.labels != IGNORED
        assert (row.labels == row.ids)[learned].all()
        prompt = codec().ids("Q: 32 + 70 = A:")
        assert row.ids[~learned].tolist() == [*prompt, marks().start]
        said = codec().text(row.ids[learned].tolist())
        assert said.replace(TOLD.removeprefix("<|startofthought|>"), "") == " 102<|eos|>"


def test_rows_depend_on_seed_and_number_alone() -> None:
    stream = ItemStream("nested_steps", Split.TRAIN, 0, (1, 2, 3))

    def ids(seed: int, *numbers: int) -> list[list[int]]:
        source = rows(stream, seed=seed)
        return [source.row(number).ids.tolist() for number in numbers]

    assert ids(0, *range(20)) == ids(0, *reversed(range(20)))[::-1]
    assert ids(0, *range(20)) != ids(1, *range(20))
    assert [parted(row) for row in ids(0, *range(20))] == [parted(row) for row in ids(1, *range(20))]


def test_what_does_not_fit_is_refused_and_what_just_fits_is_not() -> None:
    whole = len(one(SUM).row(0).ids)
    thought = len(codec().ids(f" {SUM.scratchpad}"))
    one(SUM, length=whole, longest=thought).row(0)
    cases: tuple[tuple[dict[str, int], str, str], ...] = (
        ({"length": whole - 1}, "ITEM_TOO_LONG", f"a row {whole - 1}"),
        ({"longest": thought - 1}, "THOUGHT_TOO_LONG", f"{thought} tokens, a thought {thought - 1}"),
    )
    for limits, reason, words in cases:
        with pytest.raises(InvalidInput, match=f"arithmetic_steps.*{words}") as caught:
            one(SUM, **limits).row(0)
        assert caught.value.reason == reason
        assert "lower difficulty" in caught.value.next_step


def test_items_without_steps_are_refused_by_name() -> None:
    for family, words in (("nested", "nested have no worked steps"), ("tool_lookup", "tool_lookup have no")):
        with pytest.raises(InvalidInput, match=words) as caught:  # a call is no step
            one(FAMILIES[family].example()).row(0)
        assert caught.value.reason == "NO_WORKED_STEPS"
        assert caught.value.next_step == f"Take some of {', '.join(PLAIN)}."


def test_a_service_may_read_them() -> None:
    code = "import sys, agentforge.phase3_quietstar.rows; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
