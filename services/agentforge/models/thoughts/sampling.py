"""How a thought's tokens are drawn: nucleus, temperature, and uniform numbers of a place, not of a moment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng

TRIES = 4  # draws from the whole distribution before the nucleus is cut out exactly; 1 in 10,000 gets so far at 0.9


@dataclass(frozen=True)
class Sampling:
    thoughts: int = 4
    length: int = 32  # tokens between the two marks, at most
    top_p: float = 0.9
    temperature: float = 1.0
    straight_through: bool = False  # gradients pass a drawn token as if it were its probabilities

    def __post_init__(self) -> None:
        for name, good, range_ in (
            ("thoughts", 1 <= self.thoughts <= 16, "1 to 16"),
            ("length", 1 <= self.length <= 64, "1 to 64"),
            ("top_p", 0 < self.top_p <= 1, "above 0, up to 1"),
            ("temperature", 1e-3 <= self.temperature <= 100, "0.001 to 100"),
        ):
            if not good:
                message = f"{name} is {getattr(self, name)}; it must be {range_}"
                raise InvalidInput(message, reason="OUT_OF_RANGE", field=name)


@dataclass(frozen=True)
class Draws:
    """Uniform numbers of each (row, position, thought, step): the same however thoughts are computed or grouped.

    `rows` names the rows of the batch, so that an item's thoughts do not depend on its company.
    """

    seed: int
    counters: tuple[int | str, ...] = ()
    rows: Sequence[int] | None = None

    def uniform(self, position_BP: Tensor, sampling: Sampling) -> Tensor:
        """[B, P, N, L, tries + 1] in [0, 1), float64."""
        rows = range(len(position_BP)) if self.rows is None else self.rows
        size = (sampling.length, TRIES + 1)
        drawn = [
            Rng(self.seed, "quietstar/draws", *self.counters, row, position, thought).numpy().random(size)
            for row, places in zip(rows, position_BP.tolist(), strict=True)
            for position in places
            for thought in range(sampling.thoughts)
        ]
        return (
            torch.from_numpy(np.stack(drawn))
            .view(*position_BP.shape, sampling.thoughts, *size)
            .to(position_BP.device)
        )


def policy(logits: Tensor, start: int, temperature: float) -> Tensor:
    """Logits of the thought's next token: no thought starts within a thought."""
    banned = torch.arange(logits.shape[-1], device=logits.device) == start
    return logits.masked_fill(banned, -math.inf) / temperature


def entropy(logits_V: Tensor) -> Tensor:
    """Nats, over the last dimension; what is banned (-inf) has no part in it."""
    log_V = logits_V.log_softmax(-1)
    return -(log_V.exp() * log_V.masked_fill(log_V.isneginf(), 0.0)).sum(-1)


@torch.no_grad()
def draw(logits_XV: Tensor, uniform_XU: Tensor, start: int, sampling: Sampling) -> Tensor:
    """One token of each row from the policy's nucleus: those whose more probable ones have less than top_p in all.

    A token from the whole distribution is kept if it is in the nucleus, else drawn again: sorting the vocabulary
    would cost more than the model.
    """
    cool_XV = logits_XV if sampling.temperature == 1 else logits_XV / sampling.temperature
    probability_XV = cool_XV.softmax(-1)
    probability_XV[:, start] = 0
    total_XV = probability_XV.cumsum(-1)
    share_X1 = sampling.top_p * total_XV[:, -1:]
    token_X1 = torch.empty_like(share_X1, dtype=torch.long)
    open_O = torch.arange(len(logits_XV), device=logits_XV.device)
    for attempt in range(TRIES):
        p_OV = probability_XV[open_O] if attempt else probability_XV
        drawn_O1 = _inverse(total_XV[open_O] if attempt else total_XV, uniform_XU[open_O, attempt])
        token_X1[open_O] = drawn_O1
        above_O1 = p_OV.where(p_OV > p_OV.gather(1, drawn_O1), 0).sum(1, keepdim=True)
        open_O = open_O[(above_O1 >= share_X1[open_O])[:, 0]]
        if not len(open_O):
            return token_X1[:, 0]
    p_OV = probability_XV[open_O]
    sorted_OV = p_OV.sort(dim=1, descending=True).values
    kept_O1 = ((sorted_OV.cumsum(1) - sorted_OV) < share_X1[open_O]).sum(1, keepdim=True)
    least_O1 = sorted_OV.gather(1, kept_O1 - 1)
    token_X1[open_O] = _inverse((p_OV * (p_OV >= least_O1)).cumsum(1), uniform_XU[open_O, TRIES])
    return token_X1[:, 0]


def _inverse(total_XV: Tensor, uniform_X: Tensor) -> Tensor:
    """The first token whose running total exceeds its share of the whole, [X, 1]."""
    whole_X1 = total_XV[:, -1:].contiguous()
    found_X1 = torch.searchsorted(total_XV, uniform_X[:, None].to(total_XV.dtype) * whole_X1, right=True)
    return torch.minimum(found_X1, torch.searchsorted(total_XV, whole_X1))  # rounding may put it on the whole
