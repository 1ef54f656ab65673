"""Titan's long-term memory in a graph. Tokens of one call are of one chunk, so all stored entries are readable:
who stays once the slots are full is the runtime's business.

Shapes: B batch, T new tokens, S stored entries, I learned slots, D hidden size, H heads, K head size.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.edge.graph.functional import MASKED, Part, attend, merge_heads, rms, split_heads
from agentforge.models.memory_titan import LongTermMemory, MemoryStrength


class Stored(NamedTuple):
    key: Tensor  # (B, S, D)
    value: Tensor  # (B, S, D)
    score: Tensor  # (B, S)
    position: Tensor  # (B, S), -1: nothing
    momentum: Tensor  # (B,)


class Written(NamedTuple):
    key: Tensor  # (B, T, D)
    value: Tensor  # (B, T, D)
    score: Tensor  # (B, T)
    rank: Tensor  # (B, T)
    momentum: Tensor  # (B,)


class EdgeMemory(nn.Module):
    initial_key: Tensor  # (1, H, I, K)
    initial_value: Tensor
    initial_size: Tensor  # (I,)

    def __init__(self, memory: LongTermMemory) -> None:
        super().__init__()
        self.heads, self.has_momentum = memory.heads, memory.has_momentum
        self.size = memory.q.weight.shape[0]  # D
        self.head_size = self.size // memory.heads
        self.q, self.kv, self.o, self.gates = memory.q, memory.kv, memory.o, memory.gates
        self.key_norm, self.read_norm = memory.key_norm, memory.read_norm
        initial_KID = memory.initial.detach()
        self.slots = len(memory.initial[0])  # I
        self.register_buffer("initial_key", self._split(initial_KID[:1]).contiguous())
        self.register_buffer("initial_value", self._split(initial_KID[1:]).contiguous())
        self.register_buffer("initial_size", initial_KID[0].square().sum(-1).sqrt().clamp_min(1e-6))

    def write(
        self, h_BTD: Tensor, position_BT: Tensor, strength: MemoryStrength, log_decay: float, stored: Stored
    ) -> tuple[Part, Written]:
        """What this call's tokens read, in every pass, and what they leave."""
        both_BT2D = self.kv(h_BTD)
        key_BTD, value_BTD = both_BT2D[..., : self.size], both_BT2D[..., self.size :]
        key_BTD = self._normed(key_BTD, self.key_norm)
        masked_B1S = torch.where(stored.position >= 0, 0.0, MASKED)[:, None]
        entries = Part(self._split(stored.key), self._split(stored.value), stored.position.shape[1])
        masked = entries._replace(bias=masked_B1S[:, None])
        surprise_BT, novelty_BT = self._judge(key_BTD, value_BTD, stored.key, masked_B1S, masked)
        gate_BTG = self.gates(h_BTD)
        surprise_BT = surprise_BT * gate_BTG[..., 1].sigmoid()
        surprise_BT, momentum_B = self._carry(gate_BTG, position_BT, surprise_BT, stored.momentum)
        rank_BT = (surprise_BT * novelty_BT.clamp_min(0) + 0.05).log()
        score_BT = rank_BT + strength.learned(torch.stack((surprise_BT, novelty_BT), -1))[..., 0]
        age_BTS = (position_BT[:, :, None] - stored.position[:, None]).float()
        bias_BTS = stored.score[:, None] + age_BTS * log_decay + masked_B1S
        view = entries._replace(bias=bias_BTS[:, None])
        return view, Written(key_BTD, value_BTD, score_BT, rank_BT, momentum_B)

    def forward(self, h_BTD: Tensor, view: Part) -> tuple[Tensor, Tensor]:
        """What the tokens read, and how much of it to blend in."""
        query_BHTK = self._split(self._normed(self.q(h_BTD), self.key_norm))
        read_BHTK = attend(query_BHTK, [self._learned(), view], self.head_size)
        read_BTD = self.o(self._normed(merge_heads(read_BHTK), self.read_norm))
        return read_BTD, F.linear(h_BTD, self.gates.weight[:1], self.gates.bias[:1]).sigmoid()

    def _split(self, x_BTD: Tensor) -> Tensor:
        return split_heads(x_BTD, self.heads, self.head_size)

    def _learned(self) -> Part:
        return Part(self.initial_key, self.initial_value, self.slots)

    def _normed(self, x: Tensor, norm: nn.RMSNorm) -> Tensor:
        assert norm.eps is not None
        return rms(x, norm.eps, norm.weight)

    def _judge(
        self, key_BTD: Tensor, value_BTD: Tensor, stored_BSD: Tensor, masked_B1S: Tensor, entries: Part
    ) -> tuple[Tensor, Tensor]:
        """Surprise and novelty, as LongTermMemory._judge has them."""
        recalled_BTD = merge_heads(attend(self._split(key_BTD), [self._learned(), entries], self.head_size))
        power_BT = value_BTD.square().sum(-1) + recalled_BTD.square().sum(-1)
        surprise_BT = (value_BTD - recalled_BTD).square().sum(-1) / power_BT.clamp_min(1e-12)
        size_BT1 = key_BTD.square().sum(-1, keepdim=True).sqrt()
        stored_B1S = stored_BSD.square().sum(-1).sqrt().clamp_min(1e-6)[:, None]
        cosine_BTS = key_BTD @ stored_BSD.transpose(1, 2) / (size_BT1 * stored_B1S) + masked_B1S
        initial_ID = merge_heads(self.initial_key)[0]
        cosine_BTI = key_BTD @ initial_ID.transpose(0, 1) / (size_BT1 * self.initial_size)
        return surprise_BT, 1 - torch.cat((cosine_BTI, cosine_BTS), -1).amax(-1)

    def _carry(
        self, gate_BTG: Tensor, position_BT: Tensor, surprise_BT: Tensor, start_B: Tensor
    ) -> tuple[Tensor, Tensor]:
        """s[t] = keep[t] * s[t-1] + u[t], all t at once: u[i] weighs the product of keep behind it."""
        if not self.has_momentum:
            return surprise_BT, start_B
        real_BT = position_BT >= 0
        log_keep_BT = torch.where(real_BT, F.logsigmoid(gate_BTG[..., 2]), 0.0)
        before_BTT = position_BT[:, None] <= position_BT[:, :, None]
        total_BT = (before_BTT.float() @ log_keep_BT[:, :, None])[..., 0]
        log_share_BTT = torch.where(before_BTT, total_BT[:, :, None] - total_BT[:, None], MASKED)
        written_BT = torch.where(real_BT, surprise_BT, 0.0)
        carried_BT = (log_share_BTT.exp() @ written_BT[:, :, None])[..., 0] + total_BT.exp() * start_B[:, None]
        return carried_BT, carried_BT[:, -1]
