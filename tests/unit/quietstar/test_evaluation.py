"""Held-out numbers with thoughts, against one item, one place, one thought, one token at a time."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.kit.errors import InvalidInput
from agentforge.models.thoughts.generate import Thoughts, generate
from agentforge.models.thoughts.sampling import Draws, Sampling, entropy
from agentforge.models.thoughts.speak import Spoken, speak
from agentforge.models.thoughts.text import read
from agentforge.models.thoughts.thinker import Habits, Thinker
from agentforge.phase3_quietstar import evaluation, heldout
from agentforge.phase3_quietstar.coherence import coherence
from agentforge.phase3_quietstar.evaluation import (
    accuracy,
    answers_with,
    exchanger,
    habits_that_pay,
    hardest,
    losses,
    mean_nats,
    token_nats,
    with_threshold,
)  # fmt: skip
from agentforge.phase3_quietstar.usefulness import spearman, usefulness, what_changed
from agentforge.train.evaluate import answers, item_loss
from tests import pico
from tests.unit.quietstar.models import MARKS, Row, llama, naive, titan

SAMPLING = Sampling(thoughts=2, length=3)
CLOSE = 1e-8  # mean_prediction takes the logarithm of the number of thoughts in float32
SPOILED = ("random", "another", "nothing")
MAKES = pytest.mark.parametrize("case", ["titan", "llama"])


@functools.cache
def codec() -> Codec:
    return Codec(pico.tokenizer())


@functools.cache
def items() -> list[Item]:
    """Of three lengths; the tool's result in the longest is not the model's to say."""
    counts = {"arithmetic_steps": 1, "chain": 2, "tool_calculator": 1}
    return [
        item
        for name, count in counts.items()
        for item in ItemStream(name, Split.TEST, 1, [2 if name == "chain" else 1]).distinct(count)
    ]


def thinker(case: str, threshold: float | None = 0.45, **sampling: Any) -> Thinker:
    """At 0.45 each thinks before about half of its tokens."""
    size = codec().vocabulary
    if case == "titan":
        model: Any = titan(vocab_size=size, recursion=False)  # memory and halting
    else:
        model = llama(max_position_embeddings=160)
        model.resize_token_embeddings(size, mean_resizing=False)
        for name, parameter in model.named_parameters():
            if "proj" in name:  # else a token predicts itself, whatever was thought
                parameter.data.mul_(10)
        torch.nn.init.normal_(
            model.get_input_embeddings().weight, std=0.6, generator=torch.Generator().manual_seed(3)
        )
    habits = Habits(replace(SAMPLING, **sampling), ahead=3, threshold=threshold, seed=5)
    made = Thinker(model, MARKS, habits).double().eval()
    torch.nn.init.normal_(made.head.outer.weight, generator=torch.Generator().manual_seed(4))
    torch.nn.init.zeros_(made.head.outer.bias)  # alphas of all sizes
    return made


def fixed_alpha(made: Thinker, logit: float) -> Thinker:
    torch.nn.init.zeros_(made.head.outer.weight)
    torch.nn.init.constant_(made.head.outer.bias, logit)
    return made


ByHand = tuple[Tensor, dict[int, tuple[Tensor, Tensor]]]


@functools.cache
def all_by_hand(case: str) -> list[ByHand]:
    return [by_hand(thinker(case), number) for number in range(len(items()))]


@torch.no_grad()
def by_hand(made: Thinker, number: int) -> ByHand:
    """Loss of each token that the model is to say, and at each served one of these (plain [V], with thoughts [V])
    log-probabilities, keyed by its rank among them."""
    ids, learned = codec().item_ids(items()[number])
    plain_TV = made.model(input_ids=torch.tensor([ids])).logits[0]
    hard_T = entropy(plain_TV) / math.log(codec().vocabulary)
    log_TV, free, served = plain_TV.log_softmax(-1), 0, {}
    for t in range(len(ids) - 1):
        if (
            learned[t + 1]
            and t >= free
            and made.habits.threshold is not None
            and hard_T[t] >= made.habits.threshold
        ):
            free = t + made.habits.ahead
            for column, mean_V in enumerate(mean_predictions(made, ids, t, plain_TV, number), t):
                if learned[column + 1]:
                    served[sum(learned[: column + 1])] = log_TV[column].clone(), mean_V
                    log_TV[column] = mean_V
    said = [t for t in range(len(ids) - 1) if learned[t + 1]]
    return -log_TV[said, [ids[t + 1] for t in said]], served


def mean_predictions(made: Thinker, ids: list[int], place: int, plain_TV: Tensor, number: int) -> list[Tensor]:
    draws, habits = Draws(made.habits.seed), made.habits
    columns = range(place, min(place + habits.ahead, len(ids) - 1))
    total: list[Any] = [0.0] * len(columns)
    for thought in range(habits.sampling.thoughts):
        said, _ = naive(made.model, ids[: place + 1], place, thought, habits.sampling, draws, row=number)
        row = Row(made.model, ids[: place + 1])
        logits_V = [row.feed(token) for token in said][-1]
        for rank, column in enumerate(columns):
            alpha = made.head(state(made, plain_TV[column]), state(made, logits_V))
            total[rank] = total[rank] + (alpha * plain_TV[column] + (1 - alpha) * logits_V).softmax(-1)
            logits_V = row.feed(ids[column + 1])
    return [(each / habits.sampling.thoughts).log() for each in total]


def state(made: Thinker, logits_V: Tensor) -> Tensor:
    """The state that the head made these of."""
    weight_VD = made.model.get_output_embeddings().weight
    hidden_D: Tensor = torch.linalg.lstsq(weight_VD, logits_V[:, None]).solution[:, 0]
    return hidden_D


@MAKES
def test_losses_are_those_of_one_place_at_a_time(case: str) -> None:
    made = thinker(case)
    found, off = token_nats(made, codec(), items()), token_nats(made, codec(), items(), "off")
    served = total = 0
    for number in range(len(items())):
        wanted, by_thoughts = all_by_hand(case)[number]
        torch.testing.assert_close(found[number], wanted, rtol=0, atol=CLOSE)
        plain = [rank for rank in range(len(wanted)) if rank not in by_thoughts]
        assert torch.equal(found[number][plain], off[number][plain])
        served, total = served + len(by_thoughts), total + len(wanted)
    assert 10 < served < total - 5  # some of both
    assert abs(mean_nats(found) - mean_nats(off)) > 1e-3
    loss = item_loss(made.model, codec(), items(), name="loss")
    assert mean_nats(off) == pytest.approx(loss.value, rel=1e-5)  # theirs is of float32


@MAKES
def test_spoiled_thoughts_change_served_tokens_alone(case: str) -> None:
    made = thinker(case)
    on = token_nats(made, codec(), items())
    spoiled = {how: token_nats(made, codec(), items(), how) for how in SPOILED}
    ranks = [sorted(all_by_hand(case)[number][1]) for number in range(len(items()))]
    for nats in spoiled.values():
        changed = 0.0
        for number, loss in enumerate(nats):
            rest = [rank for rank in range(len(loss)) if rank not in ranks[number]]
            assert torch.equal(loss[rest], on[number][rest])
            changed += float((loss != on[number])[ranks[number]].sum())
        assert changed > 0.8 * sum(map(len, ranks))
    assert len({mean_nats(losses) for losses in (on, *spoiled.values())}) == 4


@MAKES
def test_who_never_thinks_is_the_plain_model_to_the_bit(case: str) -> None:
    made = thinker(case)
    off = token_nats(made, codec(), items(), "off")
    never = token_nats(with_threshold(made, None), codec(), items())
    base = token_nats(fixed_alpha(made, 800.0), codec(), items())
    for one, other, third in zip(off, never, base, strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, third, rtol=0, atol=CLOSE)  # alpha is 1


@MAKES
def test_batches_and_memory_change_nothing(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, some = thinker(case), items()[:3]
    whole = {how: token_nats(made, codec(), some, how) for how in ("on", *SPOILED)}

    def same(how: str, batch: int) -> None:
        for one, other in zip(whole[how], token_nats(made, codec(), some, how, batch=batch), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-10)

    for how in whole:
        same(how, 2)
    same("another", 1)
    monkeypatch.setattr(heldout, "TOKENS", 2 * 2 * (SAMPLING.length + 2 + 3))  # two rows, one place at a time
    assert len(next(heldout.readings(made, codec(), some, 32)).items) == 2
    assert heldout.width(made, 2) == 1
    for how in whole:
        same(how, 32)


def test_the_model_is_left_as_it_was() -> None:
    made = thinker("titan").train()
    trained = token_nats(made, codec(), items()[:2])
    assert made.model.training
    for one, other in zip(trained, token_nats(made.eval(), codec(), items()[:2]), strict=True):
        assert torch.equal(one, other)
        assert not one.requires_grad
    assert not made.training


def test_hardest_and_means_by_hand() -> None:
    nats = [torch.tensor([1.0, 3.0, 2.0]), torch.tensor([3.0, 0.5, 3.0, 2.0])]
    assert [mask.tolist() for mask in hardest(nats, 2 / 7)] == [[False, True, False], [True, False, False, False]]
    assert [mask.tolist() for mask in hardest(nats, 0.01)] == [[False, True, False], [False] * 4]
    assert mean_nats(nats) == pytest.approx(14.5 / 7)
    assert mean_nats(nats, hardest(nats, 4 / 7)) == pytest.approx(11 / 4)
    loss, hard = losses("thinking", nats, hardest(nats, 2 / 7), "on")
    assert (loss.name, loss.n) == ("quietstar/thinking/loss", 7)
    assert loss.value == pytest.approx(14.5 / 7)
    assert loss.spread == pytest.approx(torch.cat(nats).std().item())
    assert loss.method == "mean over 7 answer tokens of 2 items of the test split, with thoughts"
    assert (hard.name, hard.n, hard.value, hard.spread) == ("quietstar/thinking/hard_loss", 2, 3.0, 0.0)
    assert hard.method == "mean over the 2 hardest of 7 answer tokens of 2 items of the test split, with thoughts"


@MAKES
def test_habits_that_pay_are_those_of_least_loss(case: str) -> None:
    made = thinker(case)
    habits, table = habits_that_pay(made, codec(), items(), (0.0, 0.9))
    assert [row["threshold"] for row in table] == [None, 0.0, 0.9]
    for row in table:
        loss = mean_nats(token_nats(with_threshold(made, row["threshold"]), codec(), items()))
        assert row["loss"] == loss
    best = min(table, key=lambda row: row["loss"] or 0.0)
    assert habits == replace(made.habits, threshold=best["threshold"])


def test_a_tie_is_not_worth_a_thought(monkeypatch: pytest.MonkeyPatch) -> None:
    made, losses = thinker("titan"), {None: 2.0, 0.0: 2.0}
    monkeypatch.setattr(evaluation, "token_nats", lambda who, *_: [torch.tensor([losses[who.habits.threshold]])])
    assert habits_that_pay(made, codec(), items()[:2], (0.0,))[0].threshold is None
    losses[0.0] = 1.9
    assert habits_that_pay(made, codec(), items()[:2], (0.0,))[0].threshold == 0.0


def test_answers_where_thoughts_weigh_nothing_are_the_plain_ones() -> None:
    model = pico.trained(pico.titan(), [("chain", 2)], steps=60, seed=1).double()
    learner = Thinker(model, MARKS, Habits(SAMPLING, ahead=2, threshold=0.0)).double()
    asked = ItemStream("chain", Split.TEST, 1, [2]).distinct(15)
    for made in (fixed_alpha(learner, 800.0), fixed_alpha(thinker("llama", threshold=0.0), 800.0)):
        plain = answers(made.model, codec(), asked)
        assert len(set(plain)) > 1 or made is learner
        off = accuracy(made, codec(), asked, "off", prefix="quietstar")
        assert 0 < off[0].value < 1 or made is not learner
        for how in ("on", *SPOILED):
            assert answers_with(made, codec(), asked, how, 5) == plain
            found = accuracy(made, codec(), asked, how, prefix="quietstar")
            assert [(each.name, each.value, each.n) for each in found] == [
                (each.name, each.value, each.n) for each in off
            ]
            assert found[0].method.endswith(evaluation.HOWS[how])


def test_answers_are_thought_about_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked = thinker("llama", threshold=0.0), ItemStream("chain", Split.TEST, 1, [2]).distinct(5)

    def thoughts(how: str) -> list[list[int]]:
        """In the order in which they were had."""
        had: list[list[int]] = []

        def listened(*given: Any, **named: Any) -> list[Spoken]:
            spoken = speak(*given, **named)
            had.extend(ids for each in spoken for thought in each.thoughts for ids in thought.ids)
            return spoken

        monkeypatch.setattr(evaluation, "speak", listened)
        answers_with(made, codec(), asked, how, 3)
        return had

    on, random, another, nothing = (thoughts(how) for how in ("on", *SPOILED))
    with heldout.resting(made):
        every = heldout.thoughts_of_all(made, codec(), asked, 32)
    real_XL = every.ids_BPNL[every.places_BP >= 0].flatten(0, 1)
    theirs = {tuple(each for each in row if each not in (MARKS.start, MARKS.end)) for row in real_XL.tolist()}
    assert len(on) > 10
    assert {tuple(each) for each in another} <= theirs
    assert not {tuple(each) for each in random} <= theirs
    assert another != on
    assert random == thoughts("random")
    assert set(map(len, nothing)) == {0}
    with pytest.raises(InvalidInput) as caught:
        answers_with(made, codec(), asked[:1], "another", 4)
    assert caught.value.reason == "TOO_FEW_ITEMS"


def test_exchange_of_thoughts_that_come_a_few_at_a_time() -> None:
    ids_BPNL = torch.arange(4).view(2, 2, 1, 1).expand(2, 2, 3, 5)
    theirs = Thoughts(torch.tensor([[3, 8], [5, -1]]), ids_BPNL, ids_BPNL >= 0, ids_BPNL > 0)
    exchange = exchanger(theirs)
    ours = Thoughts(torch.tensor([[9], [11]]), *[torch.zeros(2, 1, 3, 2)] * 3)
    assert [exchange(ours).ids_BPNL[:, 0, 0, 0].tolist() for _ in range(3)] == [[0, 1], [2, 0], [1, 2]]
    with pytest.raises(InvalidInput):
        exchanger(replace(theirs, places_BP=torch.full((2, 2), -1)))


@MAKES
def test_usefulness_is_the_loss_that_a_thought_saves(case: str) -> None:
    """One thought for each place, so that what they gain is what all lose less."""
    made = thinker(case, thoughts=1)
    found = usefulness(made, codec(), items())
    off, on = (float(torch.cat(token_nats(made, codec(), items(), how)).sum()) for how in ("off", "on"))
    assert float(found.gain.sum()) == pytest.approx(off - on, abs=1e-9)
    assert len(found.gain) > 5
    again = usefulness(made, codec(), items(), batch=1)
    np.testing.assert_allclose(found.gain, again.gain, rtol=0, atol=1e-10)
    for name, values in found.coherence.items():
        np.testing.assert_allclose(values, again.coherence[name], rtol=0, atol=1e-10)
    names = [each.name.rpartition("/")[2] for each in found.measurements()]
    assert names == ["gain", "semantic", "consistency", "relevance", "fluency", "score"]


@torch.no_grad()
def test_usefulness_of_single_thoughts_and_their_coherence() -> None:
    """All thoughts of one item, its gain by hand for the first place."""
    made = thinker("llama", threshold=0.0)
    found = usefulness(made, codec(), items()[:1])
    ids, learned = codec().item_ids(items()[0])
    places_1P = torch.tensor([list(range(learned.index(True) - 1, len(ids) - 1, 3))])
    text = read(made.model, torch.tensor([ids]))
    thoughts, told = generate(text, places_1P, MARKS, SAMPLING, Draws(5))
    parts = coherence(text, thoughts, told, MARKS)
    for name, values in found.coherence.items():
        np.testing.assert_allclose(values, getattr(parts, name).flatten(), rtol=0, atol=1e-9)
    place, plain_TV = int(places_1P[0, 0]), made.model(input_ids=torch.tensor([ids])).logits[0]
    single = thinker("llama", threshold=0.0, thoughts=1)  # the first of the two: it is the same thought
    ours = mean_predictions(single, ids, place, plain_TV, 0)
    wanted = sum(
        float(ours[rank][ids[place + 1 + rank]] - plain_TV[place + rank].log_softmax(-1)[ids[place + 1 + rank]])
        for rank in range(3)
    )
    assert found.gain[0] == pytest.approx(wanted, abs=1e-9)


def test_rank_correlation_by_hand() -> None:
    one = np.array([1.0, 2.0, 2.0, 4.0])  # ranks 1, 2.5, 2.5, 4
    other = np.array([10.0, -5.0, 7.0, 20.0])  # ranks 3, 1, 2, 4
    assert spearman(one, other) == pytest.approx((-1.5 * 0.5 + 1.5 * 1.5) / math.sqrt(4.5 * 5))
    assert spearman(one, -one) == pytest.approx(-1.0)
    assert spearman(one, np.ones(4)) is None


@MAKES
def test_what_thoughts_change_by_hand(case: str) -> None:
    made = thinker(case)
    pairs = [pair for number in range(len(items())) for pair in all_by_hand(case)[number][1].values()]
    plain_XV, ours_XV = (torch.stack(each) for each in zip(*pairs, strict=True))
    found = {
        each.name.removeprefix("quietstar/predictions/"): each for each in what_changed(made, codec(), items())
    }
    wanted = {
        "divergence": (ours_XV.exp() * (ours_XV - plain_XV)).sum(-1).mean(),
        "changed": (plain_XV.argmax(-1) != ours_XV.argmax(-1)).double().mean(),
        "entropy/off": -(plain_XV.exp() * plain_XV).sum(-1).mean(),
        "entropy/on": -(ours_XV.exp() * ours_XV).sum(-1).mean(),
    }
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].value == pytest.approx(float(value), abs=CLOSE)
        assert found[name].n == len(pairs)
        assert found[name].value > 0


def test_what_was_not_thought_is_not_measured() -> None:
    never = thinker("titan", threshold=None)
    for measure in (usefulness, what_changed):
        with pytest.raises(InvalidInput) as caught:
            measure(never, codec(), items()[:2])
        assert caught.value.reason == "NO_THOUGHTS"
    for some in (items()[:1], items()[:2]):
        with pytest.raises(InvalidInput) as caught:
            token_nats(never if len(some) > 1 else thinker("titan"), codec(), some, "another")
        assert caught.value.reason == "TOO_FEW_ITEMS"
    with pytest.raises(InvalidInput) as caught:
        token_nats(never, codec(), items(), "sometimes")
    assert caught.value.field == "how"
