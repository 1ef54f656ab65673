"""How much of the plain prediction stays: alpha * base + (1 - alpha) * thought, learned for every position."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

FIRST_ALPHA = 0.99  # almost the model as it came; exactly 1 would have no gradient


class MixingHead(nn.Module):
    """From the text's state and the thought's, 2 D, by 1.5 D to 1: 434 x 324 + 1 = 140,617 weights at D = 216."""

    def __init__(self, hidden_size: int, first_alpha: float = FIRST_ALPHA) -> None:
        super().__init__()
        inner = 3 * hidden_size // 2
        self.inner = nn.Linear(2 * hidden_size, inner)
        self.outer = nn.Linear(inner, 1)
        nn.init.zeros_(self.outer.weight)
        nn.init.constant_(self.outer.bias, math.log(first_alpha / (1 - first_alpha)))

    def forward(self, base_D: Tensor, thought_D: Tensor) -> Tensor:
        """Alpha in [0, 1], [..., 1]; the base is broadcast over thoughts."""
        pair_2D = torch.cat((base_D.expand_as(thought_D), thought_D), -1)
        alpha_1: Tensor = self.outer(torch.nn.functional.silu(self.inner(pair_2D))).sigmoid()
        return alpha_1


def mix(alpha_1: Tensor, base_V: Tensor, thought_V: Tensor) -> Tensor:
    """Of logits, as the authors' code does it (the paper writes log-probabilities, which then do not sum to 1).

    At alpha = 1 the result is the base to the bit.
    """
    return alpha_1 * base_V + (1 - alpha_1) * thought_V


def mean_prediction(logits_BPNAV: Tensor, base_BPAV: Tensor, kept_BPN: Tensor) -> Tensor:
    """Logarithm of the mean probability over the kept thoughts of a place; the base's where none is kept."""
    log_BPNAV = logits_BPNAV.log_softmax(-1)
    any_BP = kept_BPN.any(2)
    kept_BPN = kept_BPN | ~any_BP[..., None]  # not to take the mean of nothing; put aside below
    count_BP = kept_BPN.sum(2)
    masked_BPNAV = log_BPNAV.masked_fill(~kept_BPN[..., None, None], -math.inf)
    mean_BPAV = masked_BPNAV.logsumexp(2) - count_BP.to(log_BPNAV.dtype).log()[..., None, None]
    return torch.where(any_BP[..., None, None], mean_BPAV, base_BPAV.log_softmax(-1))
