"""How a thought's tokens are drawn: nucleus, temperature, and uniform numbers of a place, not of a moment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng

TRIES = 4  # draws from the whole distribution before the nucleus is cut out exactly; 1 in 10,000 gets so far at 0.9
BLOCK = 200  # tokens


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
    would cost more than the model. Sums are never of half precision, in which many tokens have the same total.
    """
    cool_XV = logits_XV if sampling.temperature == 1 else logits_XV / sampling.temperature
    p_OV = cool_XV.softmax(-1, dtype=torch.promote_types(cool_XV.dtype, torch.float32))
    p_OV[:, start] = 0
    blocks_OK = _blocks(p_OV)
    share_O1 = sampling.top_p * blocks_OK.sum(1, keepdim=True)
    token_X1 = torch.empty_like(share_O1, dtype=torch.long)
    open_O = torch.arange(len(logits_XV), device=logits_XV.device)
    for attempt in range(TRIES):
        drawn_O1 = _inverse(p_OV, blocks_OK, uniform_XU[open_O, attempt])
        token_X1[open_O] = drawn_O1
        more_OV = torch.gt(p_OV, p_OV.gather(1, drawn_O1), out=torch.empty_like(p_OV))
        outside_O = torch.linalg.vecdot(more_OV, p_OV) >= share_O1[:, 0]
        open_O, p_OV, blocks_OK, share_O1 = (each[outside_O] for each in (open_O, p_OV, blocks_OK, share_O1))
        if not len(open_O):
            return token_X1[:, 0]
    sorted_OV = p_OV.sort(dim=1, descending=True).values
    kept_O1 = ((sorted_OV.cumsum(1) - sorted_OV) < share_O1).sum(1, keepdim=True)
    nucleus_OV = p_OV * (p_OV >= sorted_OV.gather(1, kept_O1 - 1))
    token_X1[open_O] = _inverse(nucleus_OV, _blocks(nucleus_OV), uniform_XU[open_O, TRIES])
    return token_X1[:, 0]


def _blocks(p_XV: Tensor) -> Tensor:
    """Sums of BLOCK tokens each, the last one of what is left: running totals of these, and within one, are few."""
    whole = p_XV.shape[1] // BLOCK * BLOCK
    return torch.cat(
        (torch.unflatten(p_XV[:, :whole], 1, (-1, BLOCK)).sum(2), p_XV[:, whole:].sum(1, keepdim=True)), 1
    )


def _inverse(p_XV: Tensor, blocks_XK: Tensor, uniform_X: Tensor) -> Tensor:
    """The first token whose running total exceeds its share of the whole, [X, 1]."""
    total_XK = blocks_XK.cumsum(1)
    share_X1 = uniform_X[:, None].to(total_XK.dtype) * total_XK[:, -1:]
    block_X1 = _exceeding(total_XK, share_X1)
    column_XW = block_X1 * BLOCK + torch.arange(BLOCK, device=p_XV.device)
    there_XW = column_XW < p_XV.shape[1]
    column_XW = column_XW.clamp_max(p_XV.shape[1] - 1)
    before_X1 = F.pad(total_XK, (1, 0)).gather(1, block_X1)
    within_XW = before_X1 + (p_XV.gather(1, column_XW) * there_XW).cumsum(1)
    return block_X1 * BLOCK + _exceeding(within_XW, share_X1)


def _exceeding(total_XK: Tensor, share_X1: Tensor) -> Tensor:
    """The first whose total exceeds the share; where rounding leaves none, the first that has the whole."""
    found_X1 = torch.searchsorted(total_XK, share_X1, right=True)
    return torch.minimum(found_X1, torch.searchsorted(total_XK, total_XK[:, -1:].contiguous()))
