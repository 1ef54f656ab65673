"""Mixing, rewards and bounds: what must hold of them whatever the model."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from agentforge.kit.errors import RunFailed
from agentforge.models.thoughts.mixing import MixingHead, mean_prediction, mix
from agentforge.models.thoughts.sampling import entropy
from agentforge.phase3_quietstar.loss import (
    divergence,
    divergence_above,
    entropy_below,
    log_likelihood,
    prediction_loss,
    reinforce_loss,
    rewards,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_mixing_head_begins_almost_as_the_base_and_has_the_seeds_size() -> None:
    torch.manual_seed(0)
    head = MixingHead(216)
    assert sum(each.numel() for each in head.parameters()) == 140_617
    alpha = head(torch.randn(2, 3, 1, 216), torch.randn(2, 3, 4, 216))
    assert alpha.shape == (2, 3, 4, 1)
    torch.testing.assert_close(alpha, torch.full_like(alpha, 0.99))
    alpha.sum().backward()
    assert float(head.outer.weight.grad.abs().sum()) > 0


def test_alpha_of_one_is_the_base_to_the_bit() -> None:
    base, thought = random(5, 7).float() * 30, random(5, 7, seed=1).float() * 1e4
    assert torch.equal(mix(torch.ones(5, 1), base, thought), base)
    assert torch.equal(mix(torch.zeros(5, 1), base, thought), thought)


def test_mean_of_kept_thoughts_and_base_where_all_are_filtered() -> None:
    logits, base = random(1, 2, 3, 2, 5), random(1, 2, 2, 5, seed=1)
    kept = torch.tensor([[[True, False, True], [False, False, False]]])
    found = mean_prediction(logits, base, kept)
    wanted = (logits[0, 0, 0].softmax(-1) + logits[0, 0, 2].softmax(-1)) / 2
    torch.testing.assert_close(found[0, 0].exp(), wanted)
    assert torch.equal(found[0, 1], base[0, 1].log_softmax(-1))


def test_likelihood_counts_only_tokens_that_are_there() -> None:
    logits, targets = random(1, 2, 3, 2, 5), torch.tensor([[[1, 4], [2, 0]]])
    there = torch.tensor([[[True, True], [True, False]]])
    found = log_likelihood(logits, targets, there)
    log = logits.log_softmax(-1)
    torch.testing.assert_close(found[0, 0], log[0, 0, :, 0, 1] + log[0, 0, :, 1, 4])
    torch.testing.assert_close(found[0, 1], log[0, 1, :, 0, 2])
    kept = torch.tensor([[[True, False, True], [True, True, True]]])
    wanted = -(found[0, 0, [0, 2]].sum() + found[0, 1].sum()) / 7
    torch.testing.assert_close(prediction_loss(found, there, kept), wanted)


def test_rewards_are_relative_to_the_kept_thoughts_of_their_place() -> None:
    likelihood = torch.tensor([[[-1.0, -3.0, -8.0], [-5.0, -5.0, -5.0]]], requires_grad=True)
    kept = torch.tensor([[[True, True, False], [True, True, True]]])
    assert rewards(likelihood, kept, positive_only=False).tolist() == [[[1, -1, 0], [0, 0, 0]]]
    positive = rewards(likelihood, kept)
    assert positive.tolist() == [[[1, 0, 0], [0, 0, 0]]]
    assert not positive.requires_grad
    shifted = rewards(likelihood + 3, kept, positive_only=False)
    torch.testing.assert_close(shifted, rewards(likelihood, kept, positive_only=False))
    one = torch.ones(1, 2, 1, dtype=torch.bool)
    assert rewards(likelihood[..., :1], one).tolist() == [[[0], [0]]]  # alone: nothing to be better than


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_rewards_that_are_no_numbers_are_refused(bad: float) -> None:
    likelihood = torch.tensor([[[-1.0, bad]]])
    with pytest.raises(RunFailed, match="1 of 2 rewards") as caught:
        rewards(likelihood, torch.ones(1, 1, 2, dtype=torch.bool))
    assert caught.value.reason == "REWARD_NOT_FINITE"
    assert rewards(likelihood, torch.tensor([[[True, False]]])).tolist() == [[[0, 0]]]  # filtered: no matter


def test_all_thoughts_filtered_is_no_loss_and_no_gradient() -> None:
    likelihood, policy = random(2, 3, 4).requires_grad_(), random(2, 3, 4, 5).requires_grad_()
    kept = torch.zeros(2, 3, 4, dtype=torch.bool)
    there = torch.ones(2, 3, 2, dtype=torch.bool)
    loss = prediction_loss(likelihood, there, kept) + reinforce_loss(rewards(likelihood, kept), policy, kept)
    loss.backward()
    assert loss.item() == 0
    assert likelihood.grad is not None
    assert policy.grad is not None
    assert not likelihood.grad.any()
    assert not policy.grad.any()


def test_entropy_and_divergence_with_a_banned_token() -> None:
    logits = torch.tensor([0.0, -math.inf, 0.0, 0.0], requires_grad=True)
    assert entropy(logits).item() == pytest.approx(math.log(3))
    reference = torch.tensor([math.log(2), -math.inf, 0.0, 0.0])
    wanted = math.log(1 / 3) - (math.log(0.5) + 2 * math.log(0.25)) / 3
    assert divergence(logits, reference).item() == pytest.approx(wanted)
    assert divergence(reference, reference).item() == pytest.approx(0)
    (entropy(logits) + divergence(logits, reference)).backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


def test_bounds_cost_only_beyond_them() -> None:
    value, chosen = torch.tensor([1.0, 2.0, 9.0]), torch.tensor([True, True, False])
    assert entropy_below(value, chosen, 1.5).item() == 0
    assert entropy_below(value, chosen, 2.0).item() == 0.5
    assert divergence_above(value, chosen, 1.5).item() == 0
    assert divergence_above(value, chosen, 1.0).item() == 0.5
