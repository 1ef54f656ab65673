"""How coherent a thought is, by the model's own states and probabilities; the seeds' four parts, not the paper's.

Each part is in [0, 1]. l(X | Y): the model's mean log-probability, in nats, of a thought's chosen tokens X after Y.

    semantic similarity  (1 + cosine(mean state of the thought's tokens, mean state of the text up to there)) / 2
    logical consistency  sigmoid(l(second half | text, first half) - l(second half | text)): follows from itself?
    relevance            sigmoid(l(thought | text) - l(thought | nothing)): is it about this text?
    fluency              min(1, exp(l(thought | text) + mean entropy of the predictions)): as likely as is usual

A part that has nothing to measure (no chosen token, or no second half) is 0.5 where it compares, 0 for fluency.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from agentforge.models.thoughts.generate import Thoughts, Told, log_policy, retell
from agentforge.models.thoughts.sampling import entropy, policy
from agentforge.models.thoughts.text import Text
from agentforge.models.thoughts.tokens import Marks

WEIGHTS = {"semantic": 0.30, "consistency": 0.25, "relevance": 0.25, "fluency": 0.20}
THRESHOLD = 0.5


class Coherence(NamedTuple):
    """All [B, P, N]."""

    semantic: Tensor
    consistency: Tensor
    relevance: Tensor
    fluency: Tensor

    @property
    def score(self) -> Tensor:
        total = torch.zeros_like(self.semantic)
        for name, weight in WEIGHTS.items():
            total = total + weight * getattr(self, name)
        return total


@dataclass(frozen=True)
class Filtered:
    kept_BPN: Tensor
    share: float  # of the thoughts that there are, filtered out


@torch.no_grad()
def coherence(text: Text, thoughts: Thoughts, told: Told, marks: Marks, temperature: float = 1.0) -> Coherence:
    plain = log_policy(text, thoughts, told, marks, temperature)
    alone = log_policy(text, thoughts, retell(text, thoughts, blind=True), marks, temperature)
    first_BPNL, second_BPNL = _halves(thoughts.chosen_BPNL)
    without_BPNL = thoughts.live_BPNL & ~first_BPNL
    unfounded = log_policy(text, thoughts, retell(text, thoughts, live_BPNL=without_BPNL), marks, temperature)
    # The second half's first token must be predicted by the start mark alone, as the first half is not there.
    unfounded = _from_start(text, thoughts, told, marks, temperature, unfounded, second_BPNL)
    chosen_BPNL = thoughts.chosen_BPNL
    uncertain_BPNL = entropy(policy(text.head(told.hidden_BPNLD), marks.start, temperature)).roll(1, -1)
    usual_BPN = _mean(plain + uncertain_BPNL, chosen_BPNL)
    return Coherence(
        semantic=_similarity(text, thoughts, told),
        consistency=_mean(plain - unfounded, second_BPNL).sigmoid(),
        relevance=_mean(plain - alone, chosen_BPNL).sigmoid(),
        fluency=usual_BPN.exp().clamp_max(1) * chosen_BPNL.any(-1),
    )


def filtered(coherence: Coherence, places_BP: Tensor, threshold: float = THRESHOLD) -> Filtered:
    there_BPN = (places_BP >= 0)[..., None].expand_as(coherence.score)
    kept_BPN = (coherence.score >= threshold) & there_BPN
    return Filtered(kept_BPN, 1 - float(kept_BPN.sum()) / max(1, int(there_BPN.sum())))


def _halves(chosen_BPNL: Tensor) -> tuple[Tensor, Tensor]:
    """The first half of the chosen tokens, rounded down, and the rest; the rest is empty where the first is."""
    rank_BPNL, count_BPN1 = chosen_BPNL.cumsum(-1), chosen_BPNL.sum(-1, keepdim=True)
    first_BPNL = chosen_BPNL & (rank_BPNL <= count_BPN1 // 2)
    return first_BPNL, chosen_BPNL & ~first_BPNL & (count_BPN1 > 1)


def _from_start(
    text: Text,
    thoughts: Thoughts,
    told: Told,
    marks: Marks,
    temperature: float,
    log_BPNL: Tensor,
    second_BPNL: Tensor,
) -> Tensor:
    start_BPNV = policy(text.head(told.hidden_BPNLD[..., 0, :]), marks.start, temperature).log_softmax(-1)
    first_of_second_BPNL = second_BPNL & (second_BPNL.cumsum(-1) == 1)
    return torch.where(first_of_second_BPNL, start_BPNV.gather(-1, thoughts.ids_BPNL), log_BPNL)


def _similarity(text: Text, thoughts: Thoughts, told: Told) -> Tensor:
    chosen_BPNL1 = thoughts.chosen_BPNL[..., None]
    thought_BPND = (told.hidden_BPNLD * chosen_BPNL1).sum(3) / chosen_BPNL1.sum(3).clamp_min(1)
    real_BT1 = (text.position_BT >= 0)[..., None]
    so_far_BTD = (text.hidden_BTD * real_BT1).cumsum(1) / real_BT1.cumsum(1).clamp_min(1)
    index_BPD = thoughts.places_BP.clamp_min(0)[..., None].expand(-1, -1, so_far_BTD.shape[2])
    text_BPD = so_far_BTD.gather(1, index_BPD)
    return (1 + torch.cosine_similarity(thought_BPND, text_BPD[:, :, None], dim=-1)) / 2


def _mean(value_BPNL: Tensor, mask_BPNL: Tensor) -> Tensor:
    return value_BPNL.where(mask_BPNL, 0.0).sum(-1) / mask_BPNL.sum(-1).clamp_min(1)
