"""The loss of one batch: where it thinks, what each part of it reaches, and what ends a training."""

from __future__ import annotations

import copy
import functools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from agentforge.data.rows import IGNORED
from agentforge.kit.config import validate_config
from agentforge.kit.errors import RunFailed
from agentforge.models.thoughts.injection import Injection
from agentforge.models.thoughts.sampling import Draws, Sampling
from agentforge.models.thoughts.thinker import Habits, Thinker
from agentforge.phase3_quietstar import training
from agentforge.phase3_quietstar.coherence import coherence
from agentforge.phase3_quietstar.config import QuietStarConfig
from agentforge.phase3_quietstar.training import ThinkingLoss, Thought, plain_loss, think
from tests.unit.quietstar.models import MARKS, llama, text, titan

MAKES = {"titan": titan, "llama": llama}
BOTH = pytest.mark.parametrize("case", MAKES)
FIRST = 6  # column of the first learned token

Batch = dict[str, Tensor]


def asked(**changes: Any) -> QuietStarConfig:
    config: dict[str, Any] = {
        "sampling": {"thoughts": 3, "length": 3},
        "ahead": 2,
        "injection": {"interval": 2, "budget": 0.4},
    }
    return validate_config(QuietStarConfig, config | changes)


def made(case: str, config: QuietStarConfig, **fields: Any) -> Thinker:
    """Of float64, in training; a head that is not the same everywhere."""
    habits = Habits(Sampling(**config.sampling.model_dump()), config.ahead)
    thinker = Thinker(MAKES[case](**fields), MARKS, habits).double()
    torch.nn.init.normal_(thinker.head.outer.weight, generator=torch.Generator().manual_seed(4))
    torch.nn.init.zeros_(thinker.head.outer.bias)
    return thinker.train()


@functools.cache
def batch() -> Batch:
    """Two rows, the second shorter; without a mark in the text."""
    ids_BT, mask_BT = text(), torch.ones(2, 14, dtype=torch.long)
    mask_BT[1, -3:] = 0
    labels_BT = ids_BT.masked_fill(mask_BT == 0, IGNORED)
    labels_BT[:, :FIRST] = IGNORED
    return {"input_ids": ids_BT * mask_BT, "attention_mask": mask_BT, "labels": labels_BT}


def thought(thinker: Thinker, config: QuietStarConfig, step: int = 0) -> Thought:
    return think(thinker, batch(), config, Injection(**config.injection.model_dump()), Draws(0, (step, 0)))


def heard(config: QuietStarConfig, reference: Any = None) -> tuple[ThinkingLoss, list[Thought]]:
    told: list[Thought] = []
    return ThinkingLoss(config, reference, lambda step, ids_BT, found: told.append(found)), told


def gradients(thinker: Thinker, loss: Tensor) -> dict[str, Tensor]:
    named = dict(thinker.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()), retain_graph=True, allow_unused=True)
    return {name: torch.zeros(()) if one is None else one for name, one in zip(named, found, strict=True)}


def columns(found: Thought) -> list[list[int]]:
    return [[place for place in row if place >= 0] for row in found.thoughts.places_BP.tolist()]


@BOTH
def test_it_thinks_only_where_the_next_token_is_learned(case: str) -> None:
    everywhere = asked(injection={"interval": 1, "budget": 1.0})
    assert columns(thought(made(case, everywhere), everywhere)) == [[*range(5, 13)], [*range(5, 10)]]
    some = asked(injection={"interval": 2, "budget": 0.3})
    first, second = columns(thought(made(case, some), some))
    assert (len(first), len(second)) == (math.ceil(0.3 * 8), math.ceil(0.3 * 5))
    assert set(first) <= {*range(5, 13)}
    assert set(second) <= {*range(5, 10)}
    assert min(abs(one - other) for one, other in [first[:2], first[1:], second]) >= 2


@pytest.mark.parametrize("signal", ["loss", "dispersion"])
@BOTH
def test_places_by_other_signals(case: str, signal: str) -> None:
    config = asked(injection={"entropy": 0.0, signal: 1.0, "budget": 0.1})
    thinker = made(case, config)
    out = thinker.model(input_ids=batch()["input_ids"], attention_mask=batch()["attention_mask"])
    (first,), (second,) = columns(thought(thinker, config))
    assert 5 <= first < 13
    assert 5 <= second < 10
    if signal == "loss":
        of_next_T = out.logits[0, 5:13].log_softmax(-1).gather(1, batch()["input_ids"][0, 6:14, None])
        assert first == 5 + int(of_next_T.argmin())


@BOTH
def test_losses_are_finite_and_reach_model_and_head(case: str) -> None:
    config = asked(loss={"entropy_floor": 9.0, "divergence_ceiling": 0.0})
    thinker = made(case, config)
    other = MAKES[case]()
    with torch.no_grad():
        other.get_input_embeddings().weight.mul_(0.9)
    loss, told = heard(config, other)
    total = loss(thinker, batch())
    (found,) = told
    assert {name: bool(one.isfinite()) for name, one in found.losses.items()} == dict.fromkeys(
        ("text", "ahead", "reinforce", "entropy", "divergence"), True
    )
    reached = gradients(thinker, total)
    assert all(one.isfinite().all() and one.any() for one in reached.values())
    assert not gradients(thinker, found.losses["text"])["head.outer.weight"].any()
    assert gradients(thinker, found.losses["ahead"])["head.inner.weight"].any()


def test_the_marks_learn_from_what_comes_after_them() -> None:
    """Untied, so that their rows are met by nothing but thoughts: the text has none of them."""
    config = asked()
    thinker = made("llama", config, tie_word_embeddings=False)
    found = thought(thinker, config)
    name = "model.model.embed_tokens.weight"
    assert gradients(thinker, found.losses["ahead"])[name][[MARKS.start, MARKS.end]].any(1).all()
    assert not gradients(thinker, found.losses["text"])[name][[MARKS.start, MARKS.end]].any()
    policy = gradients(thinker, found.losses["reinforce"])
    assert policy[name][MARKS.start].any()
    assert not any(one.any() for part, one in policy.items() if part.startswith("head")), "a reward is a number"


@pytest.mark.parametrize("weights", [{}, {"reinforce": 0.0}, {"text": 0.0, "reinforce": 2.5}, {"bounds": 0.0}])
def test_the_total_is_the_weighted_sum(weights: dict[str, float]) -> None:
    config = asked(loss={"entropy_floor": 9.0, **weights})
    thinker = made("llama", config)
    loss, told = heard(config)
    total = loss(thinker, batch())
    by = {name: float(one.detach()) for name, one in told[0].losses.items()}
    assert by["text"] > 0 and by["ahead"] > 0 and by["entropy"] > 0 and by["reinforce"] != 0  # noqa: PT018
    weigh = {"text": 1.0, "reinforce": 1.0, "bounds": 0.1} | weights
    wanted = weigh["text"] * by["text"] + by["ahead"]
    wanted += weigh["reinforce"] * by["reinforce"] + weigh["bounds"] * by["entropy"]
    assert float(total.detach()) == pytest.approx(wanted, rel=1e-12)


def test_a_bound_that_is_not_set_or_not_crossed_is_nothing() -> None:
    for floor in (0.0, 1e-6):
        config = asked(loss={"entropy_floor": floor})
        assert not thought(made("llama", config), config).losses["entropy"].any()


@BOTH
def test_no_divergence_from_oneself_and_some_from_another(case: str) -> None:
    """Titan takes more passes in training than otherwise: a reference in another mode would be another model."""
    config = asked(loss={"divergence_ceiling": 0.0})
    thinker = made(case, config)
    itself, other = copy.deepcopy(thinker.model).eval(), copy.deepcopy(thinker.model)
    with torch.no_grad():
        other.get_input_embeddings().weight.mul_(0.5)
    for reference, far in ((itself, False), (other, True)):
        loss, told = heard(config, reference)
        loss(thinker, batch())
        assert (float(told[0].losses["divergence"].detach()) > 1e-9) == far


@BOTH
def test_straight_through_draws_the_same_and_learns_more(case: str) -> None:
    plain, straight = asked(), asked(sampling={"thoughts": 3, "length": 3, "straight_through": True})
    thinker = made(case, plain)
    through = Thinker(thinker.model, MARKS, Habits(Sampling(3, 3, straight_through=True), 2), thinker.head)
    one, other = thought(thinker, plain), thought(through, straight)
    assert torch.equal(one.thoughts.ids_BPNL, other.thoughts.ids_BPNL)
    assert torch.allclose(one.likelihood_BPN, other.likelihood_BPN, atol=1e-9)
    before, after = gradients(thinker, one.losses["ahead"]), gradients(thinker, other.losses["ahead"])
    assert any(not torch.allclose(before[name], after[name]) for name in before)


@BOTH
def test_filtered_thoughts_have_no_part_in_it(case: str) -> None:
    free = asked()
    thinker = made(case, free)
    everything = thought(thinker, free)
    scores = coherence(everything.text, everything.thoughts, everything.told, MARKS).score
    there_BP = everything.thoughts.places_BP >= 0
    middle = float(scores[there_BP].median())
    config = asked(coherence={"filter": True, "threshold": middle})
    found = thought(thinker, config)
    assert torch.equal(found.kept_BPN, (scores >= middle) & there_BP[..., None])
    out_BPN = ~found.kept_BPN & there_BP[..., None]
    assert out_BPN.any()
    assert not found.reward_BPN[~found.kept_BPN].any()
    for name in ("ahead", "reinforce"):
        (grad,) = torch.autograd.grad(found.losses[name], found.told.hidden_BPNLD, retain_graph=True)
        assert not grad[~found.kept_BPN].any()
        assert grad[found.kept_BPN].any()


def test_thoughts_belong_to_the_step_and_to_the_part_of_it() -> None:
    config = asked()
    thinker = made("llama", config)
    loss, told = heard(config)
    for step in (0, 0, 1):
        loss.step_of = lambda step=step: step  # type: ignore[misc]
        loss(thinker, batch())
    again, once_more = heard(config)
    again.step_of = lambda: 1
    again(thinker, batch())
    ids = [found.thoughts.ids_BPNL for found in (*told, *once_more)]
    assert torch.equal(ids[2], ids[3]), "a resumed training thinks what it would have thought"
    assert not any(_same(ids[one], ids[other]) for one, other in ((0, 1), (0, 2), (1, 2)))


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool((one == other).all())


def test_rewards_that_are_no_numbers_end_it() -> None:
    config = asked()
    thinker = made("llama", config)
    with torch.no_grad():
        thinker.head.outer.bias.fill_(math.nan)
    with pytest.raises(RunFailed, match="rewards are not finite") as caught:
        heard(config)[0](thinker, batch())
    assert caught.value.reason == "REWARD_NOT_FINITE"


def test_a_filter_that_leaves_nothing_for_twenty_batches_ends_it() -> None:
    config = asked(coherence={"filter": True, "threshold": 1.0}, sampling={"thoughts": 2, "length": 1})
    thinker = made("llama", config)
    loss, told = heard(config)
    for _ in range(19):
        total = loss(thinker, batch())
    assert float(total.detach()) == pytest.approx(float(told[-1].losses["text"].detach())), "nothing but the text"
    with pytest.raises(RunFailed, match="all thoughts of 20 batches") as caught:
        loss(thinker, batch())
    assert (caught.value.reason, caught.value.field) == ("ALL_THOUGHTS_FILTERED", "coherence.threshold")
    assert "it is 1.0" in caught.value.next_step


def test_a_kept_thought_now_and_then_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    config = asked(coherence={"filter": True, "threshold": 1.0}, sampling={"thoughts": 2, "length": 1})
    thinker = made("llama", config)
    loss, told = heard(config)
    nothing = training.kept
    for number in range(25):
        one_batch = torch.ones_like if number == 15 else torch.zeros_like
        monkeypatch.setattr(training, "kept", lambda *given, fill=one_batch: fill(nothing(*given)))
        loss(thinker, batch())
    assert len(told) == 25


@BOTH
def test_without_thoughts_the_loss_is_the_models_own(case: str) -> None:
    config = asked()
    thinker = made(case, config)
    found = plain_loss(thinker, batch())
    assert torch.equal(found, thinker.model(**batch()).loss)
    assert not any(one.any() for name, one in gradients(thinker, found).items() if name.startswith("head"))


@BOTH
def test_one_batch_is_learned(case: str) -> None:
    config = asked()
    thinker = made(case, config)
    loss, told = heard(config)
    optimiser = torch.optim.AdamW(thinker.parameters(), lr=1e-2)
    totals = []
    for step in range(25):
        loss.step_of = lambda step=step: step  # type: ignore[misc]
        optimiser.zero_grad()
        total = loss(thinker, batch())
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        totals.append(float(total.detach()))
    assert sum(totals[-5:]) < 0.5 * sum(totals[:5])
    first, last = (told[number].losses["ahead"].detach() for number in (0, -1))
    assert float(last) < 0.5 * float(first)
