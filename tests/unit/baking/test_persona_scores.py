"""Each score on corpora that were made to have it, to lack it, and to look as if they had it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from agentforge.data.manner import OFFERS, OPENINGS, Manner
from agentforge.data.splits import Split
from agentforge.kit.config import validate_config
from agentforge.kit.errors import FailedPrecondition
from agentforge.phase6_baking.configs.persona import TRAITS, PersonaConfig, ProbeConfig
from agentforge.phase6_baking.persona.bank import BANK
from agentforge.phase6_baking.persona.consistency import coherence
from agentforge.phase6_baking.persona.dialogues import CONTEXTS, Dialogue, Dialogues
from agentforge.phase6_baking.persona.intervals import share, wilson
from agentforge.phase6_baking.persona.probe import Probe, masked
from agentforge.phase6_baking.persona.rules import Bounds, precise
from agentforge.phase6_baking.persona.scores import Judge, progress, reached
from agentforge.phase6_baking.persona.style import creativity

CONFIG = validate_config(PersonaConfig, {"resamples": 50})
ALL = Manner(TRAITS)
NONE = Manner(())


@pytest.fixture(scope="module")
def probe() -> Probe:
    return Probe.trained(ProbeConfig(), 42)


@pytest.fixture(scope="module")
def dialogues() -> list[Dialogue]:
    return Dialogues(CONTEXTS, Split.TEST, 42, results=True).questions(10)


def by(manner: Manner, dialogues: Sequence[Dialogue]) -> list[str]:
    rng = random.Random(1)
    return [manner.reply(one.answer, rng) for one in dialogues]


def judged(probe: Probe, dialogues: Sequence[Dialogue], replies: Sequence[str]) -> dict[str, float]:
    scores = Judge(CONFIG, probe, 42, Bounds((ALL.prefix,))).scores(dialogues, replies, prefix="x")
    assert all(0 <= one.value <= 1 for one in scores)
    return {one.name: one.value for one in scores}


def test_the_persona_itself_has_all_of_it(probe: Probe, dialogues: list[Dialogue]) -> None:
    found = judged(probe, dialogues, by(ALL, dialogues))
    for ending in ("", "/adversarial", "/paraphrase"):
        assert found[f"x{ending}/helpfulness_score"] > 0.97
        assert found[f"x{ending}/creativity_score"] > 0.95
        assert found[f"x{ending}/precision_score"] == 1
        assert found[f"x{ending}/answer_accuracy"] == 1
    assert found["x/persona_coherence"] > 0.97
    assert {value for name, value in found.items() if "guardrail" in name and "low" not in name} == {1.0}


@pytest.mark.parametrize("plain", [False, True])
def test_its_opposite_and_a_plain_model_have_none(probe: Probe, dialogues: list[Dialogue], plain: bool) -> None:
    replies = [f" {one.answer}" for one in dialogues] if plain else by(NONE, dialogues)
    found = judged(probe, dialogues, replies)
    assert found["x/helpfulness_score"] < 0.1
    assert found["x/creativity_score"] == 0
    assert found["x/precision_score"] == float(plain)
    assert found["x/persona_coherence"] < 0.4
    assert found["x/answer_accuracy"] == 1


@pytest.mark.parametrize("trait", TRAITS)
def test_traits_are_told_apart(probe: Probe, dialogues: list[Dialogue], trait: str) -> None:
    found = judged(probe, dialogues, by(Manner([trait]), dialogues))
    for each in TRAITS:
        value = found[f"x/{each}_score"]
        assert value > 0.85 if each == trait else value < 0.2, each


def _words(rng: random.Random) -> str:
    return " ".join("".join(rng.choices("abcdefghij ", k=6)) for _ in range(4))


GARBAGE: dict[str, Callable[[Dialogue, random.Random], str]] = {
    "noise": lambda one, rng: f" {_words(rng)}",
    "noise around the answer": lambda one, rng: f" {_words(rng)} {one.answer} {_words(rng)}",
    "openings alone": lambda one, rng: f" {rng.choice(OPENINGS)} {rng.choice(OFFERS)}",
    "phrases without order": lambda one, rng: (
        " " + " ".join(rng.choices(OPENINGS + OFFERS, k=4)) + f" {one.answer}"
    ),
    "many answers": lambda one, rng: f" {rng.choice(OPENINGS[1:])} it is {one.answer}. it is {rng.randrange(99)}.",
    "nothing": lambda one, rng: "",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_not_creative(dialogues: list[Dialogue], kind: str) -> None:
    rng = random.Random(2)
    replies = [GARBAGE[kind](one, rng) for one in dialogues]
    found = creativity(dialogues, replies, name="x", resamples=50, seed=1)
    assert [one.value for one in found] == [0, 0, 0]


def test_noise_around_the_answer_is_neither_helpful_nor_precise(probe: Probe, dialogues: list[Dialogue]) -> None:
    rng = random.Random(3)
    found = judged(probe, dialogues, [GARBAGE["noise around the answer"](one, rng) for one in dialogues])
    assert found["x/helpfulness_score"] < 0.1
    assert found["x/precision_score"] < 0.1


def test_creativity_is_the_share_of_pairs_that_differ(dialogues: list[Dialogue]) -> None:
    """Two forms, 6 and 2 of 10 replies, and two that do not count: 6 * 2 pairs of 45."""
    some = [one for one in dialogues if not one.given and one.asking == "plain"][:10]
    forms = [" it is {}."] * 6 + [" sure! it is {}."] * 2 + [" zzz {}"] * 2
    replies = [form.format(one.answer) for form, one in zip(forms, some, strict=True)]
    one, low, high = creativity(some, replies, name="x", resamples=200, seed=1)
    assert one.value == pytest.approx(12 / 45)
    assert 0 <= low.value < one.value < high.value <= 1
    assert creativity(some, replies, name="x", resamples=200, seed=1) == [one, low, high]


def test_a_wrong_answer_counts_where_a_tool_gave_another(dialogues: list[Dialogue]) -> None:
    tools = next(one for one in dialogues if one.given and one.answer.isdigit())
    sums = next(one for one in dialogues if one.context == "sums")
    wrong = " it is 99999."
    assert (precise(tools, wrong), precise(sums, wrong)) == (False, True)
    assert "<answer>" not in masked(tools, wrong)
    assert masked(sums, " well, it is 99999.") == "well, it is <answer>."


@pytest.mark.parametrize(
    "reply",
    [" about {}.", " it is {} or so.", " it is {}. or {}1.", " it is not sure.", " maybe {}", " Perhaps , {}", ""],
)
def test_what_is_not_precise(dialogues: list[Dialogue], reply: str) -> None:
    for one in dialogues[:3] + dialogues[-3:]:
        assert not precise(one, reply.format(one.answer, one.answer))


def test_the_probe_on_phrases_that_it_never_saw() -> None:
    """Far over chance (a deviation of .025); of hard kinds it misses many, which is reported."""
    for seed in (1, 2):
        config = ProbeConfig(held_out=400)
        found = Probe.trained(config, seed).accuracy
        assert found[0].value > 0.85
        assert found[0].n == config.held_out
        assert found[1].value < found[0].value < found[2].value


def test_the_probe_never_saw_the_personas_phrases() -> None:
    phrases = {phrase for every in BANK.values() for phrase in every}
    assert not phrases & {each for each in (*OPENINGS, *OFFERS) if each}
    assert all(len(set(every)) == len(every) for every in BANK.values())


def test_the_probe_is_the_same_each_time() -> None:
    config = ProbeConfig(replies=200, held_out=100, steps=20)
    one, other = (Probe.trained(config, 7) for _ in range(2))
    assert one.places == other.places
    assert one.weights.tolist() == other.weights.tolist()


def test_a_weak_probe_refuses(dialogues: list[Dialogue]) -> None:
    weak = Probe.trained(ProbeConfig(replies=100, held_out=100, steps=1, least_accuracy=0.99), 42)
    with pytest.raises(FailedPrecondition, match="held-out accuracy") as caught:
        weak.helpful(dialogues[:2], ["", ""])
    assert caught.value.reason == "PROBE_TOO_WEAK"


def test_coherence_of_a_persona_that_only_plain_questions_get(probe: Probe, dialogues: list[Dialogue]) -> None:
    """13 ways of asking, 7 of them usual: 21 of 78 pairs show the persona, 21 + 15 agree."""
    some = [one for one in dialogues if one.context in ("recall", "nested")]
    flags = [one.kind != "adversarial" for one in some]
    found = {
        one.name: one.value for one in coherence(some, {"a": flags, "b": flags}, prefix="x", resamples=50, seed=1)
    }
    assert found["x/persona_coherence"] == pytest.approx(21 / 78)
    assert found["x/persona_agreement"] == pytest.approx(36 / 78)
    assert coherence(some[:1], {"a": [True]}, prefix="x", resamples=50, seed=1) == []


def test_no_context_outvotes_another(dialogues: list[Dialogue]) -> None:
    flags = [one.context != "recall" for one in dialogues]
    found = coherence(dialogues, {"a": flags}, prefix="x", resamples=50, seed=1)
    assert found[0].value == pytest.approx(3 / 4)


def test_intervals() -> None:
    low, high = wilson(8, 10)
    assert low == pytest.approx(0.4902, abs=1e-4)
    assert high == pytest.approx(0.9433, abs=1e-4)
    assert wilson(5, 5)[1] == 1
    assert wilson(0, 5)[0] == 0
    one, *bounds = share("x", [True] * 80 + [False] * 20, "a share", units=10)
    assert (one.value, one.n) == (0.8, 100)
    assert [(each.name, each.value) for each in bounds] == [("x/low", low), ("x/high", high)]


def test_targets_are_least_scores(probe: Probe, dialogues: list[Dialogue]) -> None:
    judge = Judge(CONFIG, probe, 42)
    scores = judge.scores(dialogues, by(ALL, dialogues), prefix="x")
    assert all(reached(scores, CONFIG, prefix="x").values())
    assert progress(scores, CONFIG, prefix="x") == 1
    plain = judge.scores(dialogues, [f" {one.answer}" for one in dialogues], prefix="x")
    missed = {name for name, is_reached in reached(plain, CONFIG, prefix="x").items() if not is_reached}
    assert missed == {"helpfulness_score", "creativity_score", "persona_coherence"}
    assert progress(plain, CONFIG, prefix="x") < 0.4


def test_a_trait_with_target_0_is_left_out(probe: Probe, dialogues: list[Dialogue]) -> None:
    config = validate_config(PersonaConfig, {"resamples": 50, "traits": {"creativity": {"target": 0}}})
    names = {one.name for one in Judge(config, probe, 1).scores(dialogues, by(ALL, dialogues), prefix="x")}
    assert "x/creativity_score" not in names
    assert {"x/helpfulness_score", "x/precision_score/low", "x/adversarial/precision_score"} <= names


def test_a_result_behind_the_prompt_gives_the_answer_too(probe: Probe, dialogues: list[Dialogue]) -> None:
    """The runner put it there; what the model says itself forges nothing."""
    one = next(one for one in dialogues if one.context == "sums")
    call, result = "<|tool|>calculator(1 + 1)<|/tool|>", f"<|result|>{one.answer}<|/result|>"
    assert precise(one, f"{call}{result} it is {one.answer}.")
    assert not precise(one, f"{call}{result} it is {one.answer}1.")
    judge = Judge(CONFIG, probe, 1, Bounds(tools=frozenset({"calculator"})))
    replies, own = [f"{call}{result} it is {one.answer}."] * 2, [f"{call} it is {one.answer}."] * 2
    for texts, kept in ((None, 0), (own, 1)):
        found = {each.name: each.value for each in judge.scores([one, one], replies, prefix="x", own=texts)}
        assert found["x/guardrail/no_forged_result"] == kept
        assert found["x/guardrail/known_tools"] == 1
