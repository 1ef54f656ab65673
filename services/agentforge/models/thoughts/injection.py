"""Where a thought is worth its price: the hardest places, apart from each other, as many as the budget allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from agentforge.kit.errors import InvalidInput
from agentforge.models.thoughts.places import gathered
from agentforge.models.thoughts.sampling import entropy
from agentforge.models.thoughts.text import Text


@dataclass(frozen=True)
class Injection:
    """The signals' weights need not sum to 1. `interval`: least distance of two places, in tokens."""

    entropy: float = 1.0
    loss: float = 0.0
    dispersion: float = 0.0
    interval: int = 4
    budget: float = 0.1  # of a row's tokens

    def __post_init__(self) -> None:
        weights = (self.entropy, self.loss, self.dispersion)
        if min(weights) < 0 or sum(weights) == 0:
            message = "the weights of entropy, loss and dispersion must not be negative, nor all 0"
            raise InvalidInput(message, reason="OUT_OF_RANGE", field="injection")
        if self.interval < 1 or not 0 <= self.budget <= 1:
            message = f"an interval of {self.interval} and a budget of {self.budget}: from 1 token, and from 0 to 1"
            raise InvalidInput(message, reason="OUT_OF_RANGE", field="injection")


@torch.no_grad()
def difficulty(text: Text, logits_BTV: Tensor, injection: Injection, next_BT: Tensor | None = None) -> Tensor:
    """Weighted mean of signals in [0, 1] at each token, [B, T].

    entropy: of the prediction, over log V. loss: 1 - probability of `next_BT`, the true next token, which only
    training knows. dispersion: how evenly the model attends.
    """
    if injection.loss and next_BT is None:
        message = "difficulty by loss needs the true next tokens, and there are none"
        step = "Set its weight to 0 at inference."
        raise InvalidInput(message, reason="NO_TARGETS", field="injection.loss", next_step=step)
    total_BT = injection.entropy * entropy(logits_BTV) / math.log(logits_BTV.shape[-1])
    if next_BT is not None:
        hit_BT = logits_BTV.softmax(-1).gather(-1, next_BT[..., None])[..., 0]
        total_BT = total_BT + injection.loss * (1 - hit_BT)
    if injection.dispersion:
        total_BT = total_BT + injection.dispersion * text.dispersion()
    return total_BT / (injection.entropy + injection.loss + injection.dispersion)


def choose(difficulty_BT: Tensor, allowed_BT: Tensor, injection: Injection) -> Tensor:
    """Places [B, P]: hardest first, the earlier of equals, none nearer than the interval to one taken before."""
    taken_BT = torch.zeros_like(allowed_BT, dtype=torch.bool)
    order = difficulty_BT.argsort(dim=1, descending=True, stable=True).tolist()
    for row, columns in enumerate(order):
        left = math.ceil(injection.budget * int(allowed_BT[row].sum()))
        for column in columns:
            near = slice(max(0, column - injection.interval + 1), column + injection.interval)
            if left and bool(allowed_BT[row, column]) and not bool(taken_BT[row, near].any()):
                taken_BT[row, column] = True
                left -= 1
    return gathered(taken_BT)
