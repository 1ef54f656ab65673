"""Grokfast's own task and network: a / b modulo 97, two causal layers, 422,784 parameters.

The layers are those of the paper's program: learned positions, and a residual that starts behind the first norm.
Only the answer is asked for, so the last layer's queries and MLP see the last position alone: same numbers, sooner.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.data.splits import assert_disjoint
from agentforge.kit.rng import Rng

MODULUS = 97
_SIGN, _EQUALS = MODULUS, MODULUS + 1  # the tokens behind the numbers
_PLACES = 5  # a, sign, b, equals, answer: the last one's position is never read
_WIDTH, _HEADS, _LAYERS = 128, 4, 2
PARAMETERS = 422_784


@dataclass(frozen=True)
class Pairs:
    """Questions [n, 4] (a, sign, b, equals) and answers [n], numbers of 0 to 96."""

    questions: Tensor
    answers: Tensor

    def __len__(self) -> int:
        return len(self.answers)

    def keys(self) -> list[str]:
        return [f"{a}, {b}" for a, _, b, _ in self.questions.tolist()]


def halves(seed: int) -> tuple[Pairs, Pairs]:
    """(train, held out): all 97 x 96 pairs in a seeded order, cut in the middle.

    The paper's program says a / b and computes a * b, where half of what is held out can be had by swapping them.
    """
    a, b = torch.cartesian_prod(torch.arange(MODULUS), torch.arange(1, MODULUS)).T
    inverse = torch.tensor([0] + [pow(each, -1, MODULUS) for each in range(1, MODULUS)])
    questions = torch.stack([a, torch.full_like(a, _SIGN), b, torch.full_like(a, _EQUALS)], dim=1)
    answers = a * inverse[b] % MODULUS
    order = torch.randperm(len(a), generator=Rng(seed, "grokfast/split").torch())
    train, held_out = (Pairs(questions[part], answers[part]) for part in order.chunk(2))
    assert_disjoint({"train": train.keys(), "held out": held_out.keys()})
    return train, held_out


def network(seed: int) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(Rng(seed, "grokfast/weights").seed)
        made = Network()
    assert sum(parameter.numel() for parameter in made.parameters()) == PARAMETERS
    return made


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(MODULUS + 2, _WIDTH)
        self.places = nn.Embedding(_PLACES, _WIDTH)
        self.layers = nn.ModuleList(_Layer(last=layer == _LAYERS - 1) for layer in range(_LAYERS))
        self.norm = nn.LayerNorm(_WIDTH)
        self.head = nn.Linear(_WIDTH, MODULUS + 2, bias=False)

    def forward(self, questions_BT: Tensor) -> Tensor:
        """Logits of the answer, [B, 99]."""
        x_BTD = self.tokens(questions_BT) + self.places.weight[: questions_BT.shape[1]]
        for layer in self.layers:
            x_BTD = layer(x_BTD)
        logits_BV: Tensor = self.head(self.norm(x_BTD[:, -1]))
        return logits_BV


class _Layer(nn.Module):
    def __init__(self, *, last: bool) -> None:
        super().__init__()
        self.last = last
        self.attention_norm, self.mlp_norm = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)
        self.attention_in, self.attention_out = nn.Linear(_WIDTH, 3 * _WIDTH), nn.Linear(_WIDTH, _WIDTH)
        self.mlp = nn.Sequential(nn.Linear(_WIDTH, 4 * _WIDTH), nn.GELU(), nn.Linear(4 * _WIDTH, _WIDTH))
        nn.init.xavier_uniform_(self.attention_in.weight)  # as nn.MultiheadAttention begins, which the paper uses
        nn.init.zeros_(self.attention_in.bias)
        nn.init.zeros_(self.attention_out.bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """[B, T, D], or [B, 1, D] from the last layer."""
        x_BTD = self.attention_norm(x_BTD)
        kept_BTD = x_BTD[:, -1:] if self.last else x_BTD
        kept_BTD = kept_BTD + self._attention(x_BTD, kept_BTD)
        out_BTD: Tensor = kept_BTD + self.mlp(self.mlp_norm(kept_BTD))
        return out_BTD

    def _attention(self, x_BTD: Tensor, asking_BQD: Tensor) -> Tensor:
        weight_q, weight_kv = torch.split(self.attention_in.weight, [_WIDTH, 2 * _WIDTH])
        bias_q, bias_kv = torch.split(self.attention_in.bias, [_WIDTH, 2 * _WIDTH])
        q = _heads(F.linear(asking_BQD, weight_q, bias_q))
        k, v = map(_heads, F.linear(x_BTD, weight_kv, bias_kv).chunk(2, dim=-1))
        seen_BHQE = F.scaled_dot_product_attention(q, k, v, is_causal=not self.last)
        mixed: Tensor = self.attention_out(seen_BHQE.transpose(1, 2).flatten(2))
        return mixed


def _heads(x_BTD: Tensor) -> Tensor:
    """[B, heads, T, E]"""
    return x_BTD.view(*x_BTD.shape[:2], _HEADS, -1).transpose(1, 2)
