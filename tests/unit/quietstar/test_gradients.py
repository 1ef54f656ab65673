"""Gradients through thoughts: straight-through by its definition, and REINFORCE by enumeration."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from agentforge.models.thoughts.generate import ahead, generate, log_policy, retell
from agentforge.models.thoughts.places import targets
from agentforge.models.thoughts.sampling import Draws, Sampling
from agentforge.models.thoughts.text import read
from agentforge.phase3_quietstar.loss import log_likelihood, reinforce_loss, rewards
from tests.unit.quietstar.models import MARKS, llama, text, titan

PLACES = torch.tensor([[2, 5]])


def straight(model: Any, ids_BT: Tensor) -> Tensor:
    """Log-likelihood of two tokens ahead, summed over thoughts that were drawn with gradients."""
    whole = read(model, ids_BT)
    sampling = Sampling(thoughts=2, length=3, temperature=1.5, straight_through=True)
    _, told = generate(whole, PLACES, MARKS, sampling, Draws(5))
    wanted_BPA, there_BPA = targets(ids_BT, torch.ones_like(ids_BT), PLACES, 2)
    logits_BPNAV = whole.head(ahead(whole, told, wanted_BPA, there_BPA))
    return log_likelihood(logits_BPNAV, wanted_BPA, there_BPA).sum()


def relaxed(model: Any, ids_BT: Tensor, shifts: dict[tuple[int, int, int], Tensor], keep: bool) -> Tensor:
    """The same by ordinary rows, where each drawn token's embedding is shift + probabilities' mean embedding.

    With `keep` the shifts are set so that this is the drawn token's own embedding; later they stand still.
    """
    sampling = Sampling(thoughts=2, length=3, temperature=1.5)
    thoughts, _ = generate(read(model, ids_BT), PLACES, MARKS, sampling, Draws(5)) if keep else (None, None)
    table_VD, total = model.get_input_embeddings().weight.detach(), torch.zeros((), dtype=torch.float64)
    for place, column in enumerate(PLACES[0].tolist()):
        for thought in range(2):
            x_TD = torch.cat((table_VD[ids_BT[0, : column + 1]], table_VD[[MARKS.start]]))
            for step in range(3):
                logits_V = model(inputs_embeds=x_TD[None]).logits[0, -1]
                banned_V = torch.arange(len(logits_V)) == MARKS.start
                mean_D = (logits_V / 1.5).masked_fill(banned_V, float("-inf")).softmax(0) @ table_VD
                where = (place, thought, step)
                if thoughts is not None:
                    token = thoughts.ids_BPNL[0, place, thought, step + 1]
                    shifts[where] = (table_VD[token] - mean_D).detach()
                x_TD = torch.cat((x_TD, (shifts[where] + mean_D)[None]))
            x_TD = torch.cat((x_TD, table_VD[[MARKS.end]], table_VD[ids_BT[0, column + 1 : column + 2]]))
            log_TV = model(inputs_embeds=x_TD[None]).logits[0, -2:].log_softmax(-1)
            total = total + log_TV.gather(1, ids_BT[0, column + 1 : column + 3, None]).sum()
    return total


@pytest.mark.parametrize("case", ["titan", "llama"])
def test_straight_through_is_the_derivative_of_the_shifted_relaxation(case: str) -> None:
    """Central differences along a random direction in a layer's weights; embeddings stand still in both."""
    torch.set_num_threads(1)
    model: Any = titan(memory=False) if case == "titan" else llama()
    ids_BT = text(1, 9)
    weight = next(p for name, p in model.named_parameters() if "qkv" in name or "q_proj" in name)
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    value = straight(model, ids_BT)
    (gradient,) = torch.autograd.grad(value, weight)
    shifts: dict[tuple[int, int, int], Tensor] = {}
    with torch.no_grad():
        torch.testing.assert_close(relaxed(model, ids_BT, shifts, True), value.detach(), rtol=0, atol=1e-9)
        ends, size = [], 1e-5
        for sign in (1, -1):
            weight.add_(sign * size * direction)
            ends.append(relaxed(model, ids_BT, shifts, False))
            weight.sub_(sign * size * direction)
    difference = (ends[0] - ends[1]) / (2 * size)
    torch.testing.assert_close((gradient * direction).sum(), difference, rtol=1e-5, atol=1e-7)
    hard = straight_without(model, ids_BT)
    assert abs(float((torch.autograd.grad(hard, weight)[0] * direction).sum() / difference) - 1) > 1e-3


def straight_without(model: Any, ids_BT: Tensor) -> Tensor:
    """The same value with no path through what was drawn."""
    whole = read(model, ids_BT)
    sampling = Sampling(thoughts=2, length=3, temperature=1.5)
    _, told = generate(whole, PLACES, MARKS, sampling, Draws(5))
    wanted_BPA, there_BPA = targets(ids_BT, torch.ones_like(ids_BT), PLACES, 2)
    return log_likelihood(whole.head(ahead(whole, told, wanted_BPA, there_BPA)), wanted_BPA, there_BPA).sum()


def test_straight_through_draws_the_same_tokens() -> None:
    whole = read(titan(), text(2, 9))
    places_BP = torch.tensor([[1, 4], [3, 7]])
    plain, told = generate(whole, places_BP, MARKS, Sampling(thoughts=3, length=5), Draws(5))
    soft, told_soft = generate(whole, places_BP, MARKS, Sampling(3, 5, straight_through=True), Draws(5))
    assert torch.equal(plain.ids_BPNL, soft.ids_BPNL)
    torch.testing.assert_close(told.end_BPND, told_soft.end_BPND, rtol=0, atol=1e-10)


@pytest.mark.parametrize("thoughts", [1, 2, 3])
def test_reinforce_is_the_gradient_of_the_expected_likelihood(thoughts: int) -> None:
    """One token of three, all outcomes enumerated: with the mean of N as baseline it is (N - 1) / N of it."""
    logits_V = torch.tensor([0.3, -0.8, 1.1], dtype=torch.float64, requires_grad=True)
    likelihood_V = torch.tensor([-2.0, -0.1, -1.3], dtype=torch.float64)
    (wanted_V,) = torch.autograd.grad((logits_V.softmax(0) * likelihood_V).sum(), logits_V)
    found_V = torch.zeros(3, dtype=torch.float64)
    kept = torch.ones(1, 1, thoughts, dtype=torch.bool)
    for outcome in itertools.product(range(3), repeat=thoughts):
        log_N = logits_V.log_softmax(0)[list(outcome)]
        reward = rewards(likelihood_V[list(outcome)].view(1, 1, -1), kept, positive_only=False)
        loss = reinforce_loss(reward, log_N.view(1, 1, -1, 1), kept)
        found_V -= torch.autograd.grad(loss, logits_V)[0] * log_N.sum().exp().detach()
    torch.testing.assert_close(found_V, wanted_V * (thoughts - 1) / thoughts, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [titan, llama])
def test_log_policy_is_what_tokens_were_drawn_from(make: Any) -> None:
    whole = read(make(), text(2, 9))
    places_BP = torch.tensor([[1, 4], [3, -1]])
    sampling = Sampling(thoughts=3, length=5, temperature=20.0, top_p=1.0)
    with torch.no_grad():
        thoughts, told = generate(whole, places_BP, MARKS, sampling, Draws(5))
    log_BPNL = log_policy(whole, thoughts, retell(whole, thoughts), MARKS, 20.0)
    index = (0, 1, 2)
    for step in range(1, 5):
        if thoughts.chosen_BPNL[(*index, step)]:
            logits_V = whole.head(told.hidden_BPNLD[(*index, step - 1)]) / 20
            logits_V[MARKS.start] = -float("inf")
            wanted = logits_V.log_softmax(0)[thoughts.ids_BPNL[(*index, step)]]
            torch.testing.assert_close(log_BPNL[(*index, step)], wanted, rtol=0, atol=1e-10)
    assert bool((log_BPNL[~thoughts.chosen_BPNL] == 0).all())
    assert not thoughts.chosen_BPNL[..., 0].any()  # the start mark was put there
    forced = thoughts.live_BPNL[..., 6]  # and so is an end mark for want of room
    assert bool(forced.any())
    assert not thoughts.chosen_BPNL[..., 6].any()
    assert bool((thoughts.ids_BPNL[..., 6][forced] == MARKS.end).all())


def test_thoughts_train_their_marks_and_the_text_that_they_see() -> None:
    """Also after the same reading of the text was thought about without gradients."""
    model, ids_BT = titan(memory=False), text(1, 9)
    whole = read(model, ids_BT)
    with torch.no_grad():
        thoughts, _ = generate(whole, PLACES, MARKS, Sampling(2, 3), Draws(5))
    retell(whole, thoughts).end_BPND.square().sum().backward()
    gradient = model.embed_tokens.weight.grad
    assert gradient is not None
    assert bool((gradient[[MARKS.start, MARKS.end]].abs().sum(1) > 0).all())
    seen = [token for token in ids_BT[0, :6].tolist() if token not in thoughts.ids_BPNL]
    assert seen
    assert bool((gradient[seen].abs().sum(1) > 0).all())
    assert model.persistent is not None
    assert model.persistent.grad is not None
    assert bool((model.persistent.grad.abs().sum(1) > 0).all())
