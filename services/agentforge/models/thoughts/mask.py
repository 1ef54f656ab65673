"""Who sees whom among thoughts: the diagonal attention of Quiet-STaR, and the places of thought tokens.

Shapes: B rows, T text tokens, P places, N thoughts of a place, M = P x N thoughts, L tokens of one step, J
tokens of a thought so far, Q = M x L new tokens of a row, F = all thought tokens of a row. Positions count real
tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor


def text_mask(text_BT: Tensor, query_BQ: Tensor, limit_BQ: Tensor, window: int | None) -> Tensor:
    """Text that each query sees, [B, Q, T]: up to its limit, within the window. Padding has position -1."""
    seen_BQT = (text_BT >= 0)[:, None] & (text_BT[:, None] <= limit_BQ[..., None])
    if window is not None:
        seen_BQT = seen_BQT & (query_BQ[..., None] - text_BT[:, None] < window)
    return seen_BQT


def own_mask(key_BMJ: Tensor, live_BMJ: Tensor, query_BML: Tensor, window: int | None) -> Tensor:
    """What each token sees of its own thought, [B, M, L, J]: itself and what is before it, if alive.

    A token of a finished thought stands where the last live one stands and sees the same, so it is never NaN.
    """
    age_BMLJ = query_BML[..., None] - key_BMJ[:, :, None]
    seen_BMLJ = live_BMJ[:, :, None] & (age_BMLJ >= 0)
    return seen_BMLJ if window is None else seen_BMLJ & (age_BMLJ < window)


def diagonal_mask(own_BMLJ: Tensor, steps: list[int]) -> Tensor:
    """The same among all thought tokens of a row, [B, Q, F]: they lie step by step, then thought by thought."""
    batch, thoughts, length = own_BMLJ.shape[:3]
    blocks = []
    for own_BMLS in torch.split(own_BMLJ, steps, 3):
        block = own_BMLS.new_zeros(batch, thoughts, length, thoughts, own_BMLS.shape[3])
        diagonal = torch.arange(thoughts, device=block.device)
        block[:, diagonal, :, diagonal] = own_BMLS.transpose(0, 1)
        blocks.append(block.flatten(3).flatten(1, 2))
    return torch.cat(blocks, 2)


class Own:
    """Which tokens the thoughts of a text hold so far, and where they stand: as if each followed its text alone."""

    def __init__(self, limit_BM: Tensor) -> None:
        self.limit_BM = limit_BM  # position of the text token that a thought hangs on
        self.position_BMJ = limit_BM[:, :, None][..., :0]
        self.live_BMJ = self.position_BMJ.bool()
        self.steps: list[int] = []

    def add(self, live_BML: Tensor) -> Tensor:
        """Positions of the new tokens [B, M, L]; a token that is not live takes no place."""
        before_BM = self.limit_BM + self.live_BMJ.sum(2)
        position_BML = before_BM[..., None] + live_BML.long().cumsum(2)
        self.position_BMJ = torch.cat((self.position_BMJ, position_BML), 2)
        self.live_BMJ = torch.cat((self.live_BMJ, live_BML), 2)
        self.steps.append(live_BML.shape[2])
        return position_BML
