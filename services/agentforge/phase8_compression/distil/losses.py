"""How far a student is from its teacher: in what it says, in hidden states, and in who attends to whom.

Shapes: X learned positions, V vocabulary, D a hidden size, A relation heads, S positions that are seen.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_RELATION_WIDTH = 8  # least, of a relation head: fewer numbers say little of how alike two states are


def response(logits_XV: Tensor, teacher_XV: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student) at a temperature, in nats, mean over positions; times its square (Hinton et al. 2015).

    The gradient of the KL shrinks with the square of the temperature: so alpha means the same at every one.
    """
    ours, theirs = (F.log_softmax(each.float() / temperature, -1) for each in (logits_XV, teacher_XV))
    return F.kl_div(ours, theirs, log_target=True, reduction="batchmean") * temperature**2


def feature(state_XD: Tensor, teacher_XD: Tensor) -> Tensor:
    """Mean squared distance of states of norm 1 each dimension: what the next norm reads, and not their size."""
    return F.mse_loss(_normal(state_XD), _normal(teacher_XD))


def attention(state_BTD: Tensor, teacher_BTE: Tensor, mask_BT: Tensor, asked_BT: Tensor) -> Tensor:
    """KL between the two models' relations of hidden states, mean over the asked positions and relation heads.

    Titan's attention and SDPA hand out no maps. As in MiniLM v2, a position's relation to itself and all before it
    is the softmax of scaled products of states, in heads whose number needs to divide both widths and no more.
    """
    heads = relation_heads(state_BTD.shape[-1], teacher_BTE.shape[-1])
    ours, theirs = (relations(each, heads, mask_BT)[asked_BT] for each in (state_BTD, teacher_BTE))
    return (theirs.exp() * (theirs - ours)).sum(-1).mean()


def relation_heads(width: int, other: int) -> int:
    most = min(width, other) // _RELATION_WIDTH
    return max((heads for heads in range(1, most + 1) if width % heads == other % heads == 0), default=1)


def relations(state_BTD: Tensor, heads: int, mask_BT: Tensor) -> Tensor:
    """Log-probabilities [B, T, A, S]; of what is not seen, the lowest finite number."""
    state_BATK = _normal(state_BTD).reshape(*mask_BT.shape, heads, -1).transpose(1, 2)
    score_BATS = state_BATK @ state_BATK.mT / math.sqrt(state_BATK.shape[-1])
    length = mask_BT.shape[1]
    earlier_TS = torch.ones(length, length, dtype=torch.bool, device=mask_BT.device).tril()
    seen_BTS = earlier_TS & (mask_BT > 0)[:, None]
    hidden_BATS = score_BATS.masked_fill(~seen_BTS[:, None], torch.finfo(score_BATS.dtype).min)
    return F.log_softmax(hidden_BATS, -1).clamp_min(-1e4).transpose(1, 2)


def _normal(state: Tensor) -> Tensor:
    return F.rms_norm(state.float(), state.shape[-1:])
