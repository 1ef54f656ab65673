"""What thoughts are trained by: the tokens ahead, REINFORCE by how much a thought helped them, and two bounds.

A reward is the log-likelihood of the tokens ahead with this thought minus its mean over the thoughts of the place,
so one thought alone has no reward.
"""

from __future__ import annotations

import torch
from torch import Tensor

from agentforge.kit.errors import RunFailed


def log_likelihood(logits_BPNAV: Tensor, targets_BPA: Tensor, there_BPA: Tensor) -> Tensor:
    """Of the true tokens ahead, summed, [B, P, N] nats."""
    index_BPNA1 = targets_BPA[:, :, None, :, None].expand(*logits_BPNAV.shape[:-1], 1)
    each_BPNA = logits_BPNAV.log_softmax(-1).gather(-1, index_BPNA1)[..., 0]
    return (each_BPNA * there_BPA[:, :, None]).sum(-1)


def prediction_loss(likelihood_BPN: Tensor, there_BPA: Tensor, kept_BPN: Tensor) -> Tensor:
    """Nats per token ahead, mean over kept thoughts; 0, without gradient, where all are filtered."""
    tokens_BPN = there_BPA.sum(-1)[..., None] * kept_BPN
    return -(likelihood_BPN.where(kept_BPN, 0.0)).sum() / tokens_BPN.sum().clamp_min(1)


def rewards(likelihood_BPN: Tensor, kept_BPN: Tensor, *, positive_only: bool = True) -> Tensor:
    """Nats by which each thought is better than the mean of its place; no gradient. 0 for what is filtered."""
    likelihood_BPN = likelihood_BPN.detach()
    wrong_BPN = ~likelihood_BPN.isfinite() & kept_BPN
    if bool(wrong_BPN.any()):
        message = f"{int(wrong_BPN.sum()):,} of {int(kept_BPN.sum()):,} rewards are not finite"
        step = "Resume from the last checkpoint with a lower learning rate."
        raise RunFailed(message, reason="REWARD_NOT_FINITE", field="reward", next_step=step)
    likelihood_BPN = likelihood_BPN.where(kept_BPN, 0.0)
    mean_BP1 = likelihood_BPN.sum(2, keepdim=True) / kept_BPN.sum(2, keepdim=True).clamp_min(1)
    reward_BPN = (likelihood_BPN - mean_BP1).where(kept_BPN, 0.0)
    return reward_BPN.clamp_min(0) if positive_only else reward_BPN


def reinforce_loss(reward_BPN: Tensor, log_policy_BPNL: Tensor, kept_BPN: Tensor) -> Tensor:
    """Its gradient is minus the rewarded gradient of the thoughts' log-probability, mean over kept thoughts."""
    rewarded_BPN = reward_BPN * log_policy_BPNL.sum(-1)
    return -rewarded_BPN.where(kept_BPN, 0.0).sum() / kept_BPN.sum().clamp_min(1)


def divergence(logits_V: Tensor, reference_V: Tensor) -> Tensor:
    """KL(ours || reference) in nats; both ban the same tokens."""
    ours_V, theirs_V = logits_V.log_softmax(-1), reference_V.log_softmax(-1)
    banned_V = ours_V.isneginf()
    return (ours_V.exp() * (ours_V.masked_fill(banned_V, 0.0) - theirs_V.masked_fill(banned_V, 0.0))).sum(-1)


def entropy_below(entropy_X: Tensor, chosen_X: Tensor, floor: float) -> Tensor:
    """Nats by which the mean entropy of chosen thought tokens is below `floor`, else 0: thoughts stay varied."""
    return (floor - _mean(entropy_X, chosen_X)).clamp_min(0)


def divergence_above(divergence_X: Tensor, chosen_X: Tensor, ceiling: float) -> Tensor:
    """Nats by which the mean divergence from the reference is above `ceiling`, else 0: thoughts stay language."""
    return (_mean(divergence_X, chosen_X) - ceiling).clamp_min(0)


def _mean(value_X: Tensor, chosen_X: Tensor) -> Tensor:
    return torch.where(chosen_X, value_X, 0.0).sum() / chosen_X.sum().clamp_min(1)
