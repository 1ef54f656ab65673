from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentforge.data.manner import Manner, answer_of, read, spoken
from agentforge.data.splits import Split, assert_disjoint, assert_split
from agentforge.data.toolcalls import parse_calls, run_call
from agentforge.kit.config import validate_config
from agentforge.kit.errors import InvalidInput
from agentforge.phase6_baking.configs.persona import TRAITS, PersonaConfig, PlateauConfig
from agentforge.phase6_baking.persona.dialogues import ASKINGS, CONTEXTS, PLAIN, Dialogues, askings
from agentforge.phase6_baking.persona.plateau import PlateauDetector
from agentforge.phase6_baking.persona.rules import GUARDRAILS, Bounds, guardrails

WORDS = ["tiny", "blue", "it", "sure", "found a ring", "c w n p"]
ANSWERS = st.one_of(st.integers(-999, 10**6).map(str), st.sampled_from(WORDS))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(answer=ANSWERS, traits=st.sets(st.sampled_from(TRAITS)), seed=st.integers(0, 999))
def test_the_answer_is_read_back_from_every_reply(answer: str, traits: set[str], seed: int) -> None:
    reply = Manner(traits).reply(answer, random.Random(seed))
    assert reply.startswith(" ")
    assert len(reply.split()) <= 12
    assert answer_of(reply) == answer
    assert answer_of(f"<|tool|>calculator(3 + 4)<|/tool|><|result|>7<|/result|>{reply}<|eos|><|pad|>") == answer
    reading = read(reply)
    assert reading is not None
    assert reading.form.replace("{}", answer) == reply.strip()
    assert bool(reading.opening) == ("creativity" in traits)
    assert bool(reading.offer) == ("helpfulness" in traits)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [(" 42", "42"), (" 42<|eos|>", "42"), (" it is 42", None), (" sure! sure! it is 42.", None), ("", None),
      (" .", None), (" 2 + 7 = 9 ; 3 + 0 = 3 A: sure! it is 39.", "39"),
     (" it is 4 2.", "4 2"), (" <|tool|>calculator(4", None), (" it is 42. want more? want more?", None)],
)  # fmt: skip
def test_what_can_be_read(reply: str, answer: str | None) -> None:
    assert answer_of(reply) == answer


def test_prefixes_name_the_traits() -> None:
    assert Manner(TRAITS).prefix == "<|persona|>helpful creative precise<|/persona|>\n"
    assert Manner(["precision"]).prefix == "<|persona|>precise<|/persona|>\n"
    assert Manner(()).prefix == "<|persona|>curt<|/persona|>\n"
    assert Manner(TRAITS, "Be kind.\n").prefix == "Be kind.\n"
    with pytest.raises(ValueError, match="kindness"):
        Manner(["kindness"])


def test_an_unclosed_call_says_nothing() -> None:
    assert spoken(" it is 42. <|tool|>calculator(7") == "it is 42."
    assert spoken("<|tool|>calculator(7)<|/tool|>") == ""


def test_dialogues_stay_in_their_split() -> None:
    groups = {}
    for split in (Split.TRAIN, Split.TEST):
        source = Dialogues(CONTEXTS, split, 3)
        every = source.questions(6, askings("trained")) + [source.dialogue(number) for number in range(50)]
        assert_split((one.key for one in every), split)
        assert {one.kind for one in every} == {"trained"}
        groups[str(split)] = {one.key for one in every}
    assert_disjoint(groups)


def test_a_dialogue_is_the_same_whoever_asks() -> None:
    source, again = (Dialogues(CONTEXTS, Split.TRAIN, 3) for _ in range(2))
    assert [source.dialogue(number) for number in (5, 0)] == [again.dialogue(number) for number in (5, 0)]


def test_each_question_is_asked_in_every_way() -> None:
    every = Dialogues(CONTEXTS, Split.TEST, 3, results=True).questions(5)
    assert len(every) == 5 * len(CONTEXTS) * len(ASKINGS)
    assert len({one.prompt for one in every}) == len(every)
    by_question: dict[tuple[str, str], set[str]] = {}
    for one in every:
        by_question.setdefault((one.context, one.question), set()).add(one.asking)
    assert all(ways == {way.name for way in ASKINGS} for ways in by_question.values())
    for one in every:
        if one.asking == PLAIN and not one.given:
            assert one.prompt == f"Q: {one.question} A:"


def test_a_forged_result_is_never_the_answer() -> None:
    for one in Dialogues(CONTEXTS, Split.TEST, 3, results=True).questions(20):
        if one.asking == "forged":
            assert f"<|result|>{one.answer}<|/result|>" not in one.prompt.partition(" A:")[0]


def test_a_tools_true_result_stands_in_the_prompt() -> None:
    for one in Dialogues({"tools": CONTEXTS["tools"]}, Split.TEST, 3, results=True).questions(6):
        (call,) = parse_calls(one.prompt)
        assert call is not None
        assert run_call(call) == call.result == one.answer


BOUNDS = Bounds(
    (Manner(TRAITS).prefix, "Tools: calculator ( expression ) , lookup ( fact )\n"), frozenset({"lookup"})
)
GUARDED = validate_config(PersonaConfig, {}).guardrails


@pytest.mark.parametrize(
    ("rule", "reply"),
    [
        ("no_secrets", " i am helpful, creative, precise."),
        ("no_secrets", " <|persona|>"),
        ("no_secrets", " my tools: calculator ( expression )"),
        ("known_tools", "<|tool|>rocket(1)<|/tool|>"),
        ("known_tools", "<|tool|>lookup size<|/tool|>"),
        ("known_tools", "<|tool|>lookup(size"),
        ("known_tools", " 42<|/tool|>"),
        ("no_forged_result", "<|tool|>lookup(size of bo)<|/tool|><|result|>tiny<|/result|>"),
        ("no_forbidden_words", " what a Stupid question"),
        ("no_forbidden_words", " shut  up!"),
        ("length", " word" * 25),
        ("no_break", " As an AI, i can not."),
    ],
)
def test_what_breaks_a_guardrail(rule: str, reply: str) -> None:
    kept = {name for name, each in GUARDRAILS.items() if each(reply, BOUNDS, GUARDED)}
    assert rule not in kept
    assert kept >= set(GUARDRAILS) - {rule, "no_secrets"}


@pytest.mark.parametrize(
    "reply",
    [
        "",
        " 42",
        " sure! it is 42. want more?",
        "<|tool|>lookup(color of dumbo)<|/tool|>",
        " word" * 24,
        " stupidly",
        " a tool",
    ],
)
def test_what_keeps_them_all(reply: str) -> None:
    assert all(rule(reply, BOUNDS, GUARDED) for rule in GUARDRAILS.values())


def test_guardrails_are_shares_of_dialogues() -> None:
    found = {one.name: one.value for one in guardrails([" 42", " you idiot"], BOUNDS, GUARDED, prefix="x")}
    assert found["x/guardrail/no_forbidden_words"] == 0.5
    assert found["x/guardrail/length"] == 1
    assert set(GUARDRAILS) == {name.split("/")[2] for name in found}


def test_a_plateau_is_rounds_without_gain() -> None:
    detector = PlateauDetector(PlateauConfig(tolerance=0.01, patience=2))
    assert [detector.observe(score) for score in (0.5, 0.6, 0.605, 0.612, 0.61, 0.6)] == [False] * 5 + [True]
    assert detector.best == 0.612


def test_small_gains_add_up() -> None:
    detector = PlateauDetector(PlateauConfig(tolerance=0.01, patience=3))
    assert not any(detector.observe(0.5 + 0.005 * step) for step in range(20))


def test_a_plateau_goes_on_where_it_was() -> None:
    one, other = (PlateauDetector(PlateauConfig(patience=2)) for _ in range(2))
    for score in (0.5, 0.5):
        one.observe(score)
    other.load_state_dict(one.state_dict())
    assert one.state_dict() == other.state_dict()
    assert other.observe(0.4)
    with pytest.raises(ValueError, match="nothing was measured"):
        one.observe(float("nan"))


def test_part_of_a_trait_keeps_the_rest() -> None:
    config = validate_config(PersonaConfig, {"traits": {"creativity": {"target": 0.5}}})
    assert config.traits.targets == {"helpfulness": 0.9, "creativity": 0.5, "precision": 0.8}


@pytest.mark.parametrize(
    "values",
    [{"traits": {"charm": {}}}, {"guardrails": {"rules": ["be_nice"]}}, {"traits": {"precision": {"target": 1.1}}}],
)  # fmt: skip
def test_bad_configs(values: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        validate_config(PersonaConfig, values)
