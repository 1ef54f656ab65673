from __future__ import annotations

import ast
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentforge.data.items import Item, answer_in
from agentforge.data.tasks import FAMILIES, SPECIALISMS
from agentforge.data.tasks.nested import Nested
from agentforge.data.tasks.persona import STYLES, read_style
from agentforge.data.tasks.recall import Recall
from agentforge.data.tasks.tools import valid_call

seeds = st.integers(0, 2**32)


def drawn(name: str, seed: int) -> Item:
    family, rng = FAMILIES[name], random.Random(seed)
    return family.draw(rng, rng.choice(family.difficulties))


@pytest.mark.parametrize("name", FAMILIES)
@given(seed=seeds)
def test_scorers_take_the_right_answer_and_refuse_others(name: str, seed: int) -> None:
    family, item = FAMILIES[name], drawn(name, seed)
    assert family.score(item, item.completion)
    assert family.score(item, item.completion + "<|eos|>rubbish")
    assert family.score(item, item.completion + "\nQ: next")
    for wrong in ("", " ", item.prompt, f" {item.answer}x", item.completion + " 0", item.completion[:-1]):
        assert not family.score(item, wrong), wrong


@pytest.mark.parametrize("name", FAMILIES)
@given(seed=seeds, other=seeds)
def test_another_items_answer_is_right_only_if_it_is_the_same(name: str, seed: int, other: int) -> None:
    item, stranger = drawn(name, seed), drawn(name, other)
    assert FAMILIES[name].score(item, stranger.completion) == (item.answer == stranger.answer)


@pytest.mark.parametrize("name", FAMILIES)
@given(seed=seeds)
def test_items_have_the_form_a_person_types(name: str, seed: int) -> None:
    item = drawn(name, seed)
    assert item.prompt.startswith("Q: ")
    assert item.prompt.endswith((" A:", " S:"))
    assert item.completion.startswith(" ")
    assert "".join(text for text, _ in item.segments()) == item.text
    assert "\n" not in item.prompt + item.completion


@pytest.mark.parametrize("name", [name for name in FAMILIES if FAMILIES[name].size(FAMILIES[name].difficulties[0])])
def test_spaces_list_each_item_once_and_all_that_is_drawn(name: str) -> None:
    family = FAMILIES[name]
    difficulty = family.difficulties[0]
    items = list(family.space(difficulty))
    assert len(items) == family.size(difficulty) == len(set(items))
    rng = random.Random(0)
    assert {family.draw(rng, difficulty) for _ in range(50)} <= set(items)


@given(seed=seeds)
def test_arithmetic_and_its_steps_are_true(seed: int) -> None:
    for name in ("arithmetic", "arithmetic_mixed", "arithmetic_steps", "chain_steps"):
        item = drawn(name, seed)
        question = item.prompt[3:-4].replace("=", "").replace("mod", "%").strip()
        left, _, modulus = question.partition("%")
        value = _value(left)
        assert int(item.answer) == (value % int(modulus) if modulus else value)
    for line in drawn("arithmetic_steps", seed).scratchpad.split(" ; "):
        left, right = line.split(" = ")
        assert _value(left) == int(right)


def _value(expression: str) -> int:
    assert re.fullmatch(r"[\d +*()-]+", expression)
    return int(eval(compile(ast.parse(expression.strip(), mode="eval"), "", "eval")))


@given(name=st.sampled_from(["nested", "nested_sides"]), seed=seeds, depth=st.integers(1, 6))
def test_nested_answers_are_true_and_depth_is_depth(name: str, seed: int, depth: int) -> None:
    item = FAMILIES[name].draw(random.Random(seed), depth)
    expression = item.prompt.removeprefix("Q: ").removesuffix(" mod 5 = A:")
    assert int(item.answer) == _value(expression) % 5
    assert expression.count("(") == depth


@given(seed=seeds, depth=st.integers(1, 6))
def test_nested_steps_ask_the_same_and_are_true(seed: int, depth: int) -> None:
    plain, worked = (FAMILIES[name].draw(random.Random(seed), depth) for name in ("nested", "nested_steps"))
    assert worked.prompt == plain.prompt.removesuffix("A:") + "S:"
    assert (worked.key, worked.answer) == (plain.key, plain.answer)
    check_steps(worked)


@given(seed=seeds, depth=st.integers(1, 6))
def test_nested_steps_keep_their_sides(seed: int, depth: int) -> None:
    sides = Nested("both", "", "depth", range(1, 7), (1,), sides=True, steps=True)
    check_steps(sides.draw(random.Random(seed), depth))


def check_steps(item: Item) -> None:
    """Each step is an innermost operation of what the steps before have left of the question."""
    left = item.prompt.removeprefix("Q: ").removesuffix(" mod 5 = S:")
    for step in item.scratchpad.split(";"):
        operation, value = step.split("=")
        assert int(value) == _value(operation) % 5
        assert left.count(f"({operation})") == 1
        left = left.replace(f"({operation})", value)
    assert left == item.answer


def test_every_operation_of_nested_matters() -> None:
    """Answers at depth 2 are spread over all residues, so the last operation alone does not tell them."""
    nested = FAMILIES["nested"]
    assert isinstance(nested, Nested)
    by_tail: dict[str, set[str]] = {}
    for item in nested.space(2):
        by_tail.setdefault(item.key.split(")")[1], set()).add(item.answer)
    assert all(len(answers) == 5 for answers in by_tail.values())


@given(seed=seeds, noise=st.integers(1, 400))
def test_recall_hides_facts_in_noise_that_holds_none(seed: int, noise: int) -> None:
    base = FAMILIES["recall"]
    family = Recall("r", "", "", base.difficulties, (1,), noise=noise)
    item = family.draw(random.Random(seed), 6)
    asked = item.prompt.split(" ; ")[-1].removesuffix(" A:")
    assert re.findall(rf"\b{asked}(\d)", item.prompt) == [item.answer]
    assert len(re.findall(r"\d", item.prompt)) == 6
    after_last_fact = re.split(r"\d", item.prompt)[-1].partition(" ; ")[0]
    assert len(after_last_fact.split()) >= noise // 2


def test_persona_styles_are_told_apart() -> None:
    for style, template in STYLES.items():
        assert read_style(template.format(42)) == (style, "42")
    assert read_style("42") is None


def test_tool_scoring_is_by_outcome() -> None:
    family = FAMILIES["tool_calculator"]
    item = Item("tool_calculator", "Q: 25 + 17 = A:", "42", 2)
    for right in (
        "<|tool|>calculator(25 + 17)<|/tool|>",
        "<|tool|>calculator(84 // 2)<|/tool|><|result|>42<|/result|> 42",
    ):
        assert family.score(item, right)
    for wrong in (
        " 42",  # right, but no tool was asked
        "<|tool|>calculator(25 + 16)<|/tool|> 42",
        "<|tool|>calculator(25 + 17)<|/tool|><|result|>42<|/result|> 43",
        "<|tool|>calculator(25 + 16)<|/tool|><|result|>42<|/result|> 42",  # an invented result
        "<|tool|>calculator 25 + 17<|/tool|> 42",
        "<|tool|>oracle(25 + 17)<|/tool|> 42",
    ):
        assert not family.score(item, wrong), wrong
    assert valid_call("<|tool|>calculator(1 + 1)<|/tool|>")
    assert not valid_call("<|tool|>calculator(1 +)<|/tool|>")
    assert not valid_call("2")


def test_tool_results_are_not_learned() -> None:
    item = drawn("tool_lookup", 1)
    results = [text for text, learned in item.segments()[1:] if not learned]
    assert results == [f"<|result|>{item.answer}<|/result|>"]


def test_specialisms_are_families() -> None:
    assert {name for names in SPECIALISMS.values() for name in names} <= set(FAMILIES)
    assert answer_in(" 7 + 5 = 12 A: 12<|eos|>") == "12"
