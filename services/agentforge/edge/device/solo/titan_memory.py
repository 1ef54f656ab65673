"""Titan's long-term memory, as edge/graph/titan_memory.py has it. Tokens of one call are of one chunk.

Shapes: B rows, T new tokens, S stored entries, I learned slots, D hidden, H heads, K head size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .maths import MASKED, Part, attend, log_sigmoid, merge_heads, rms, sigmoid, silu, split_heads
from .weights import Weights


class Stored(NamedTuple):
    key: np.ndarray  # (B, S, D)
    value: np.ndarray  # (B, S, D)
    score: np.ndarray  # (B, S)
    position: np.ndarray  # (B, S), -1: nothing
    momentum: np.ndarray  # (B,)


class Strength:
    """How strongly an entry is written, and how fast it fades: one for all layers."""

    def __init__(self, weights: Weights, decay: bool) -> None:
        self._first = weights.linear("strength.learned.0", 25, 2, bias=True)
        self._second = weights.linear("strength.learned.2", 1, 25, bias=True)
        self.log_decay = log_sigmoid(weights.tensor("strength.decay", 1))[0] if decay else np.float32(0)

    def learned(self, surprise_BT: np.ndarray, novelty_BT: np.ndarray) -> np.ndarray:
        both = np.stack((surprise_BT, novelty_BT), -1)
        return self._second(silu(self._first(both)))[..., 0]


class Memory:
    def __init__(self, weights: Weights, name: str, config: dict[str, Any]) -> None:
        size = self.size = config["hidden_size"]
        self.heads, self.eps = config["num_attention_heads"], config["rms_norm_eps"]
        self.has_momentum = config["memory_momentum"]
        self.q, self.o = weights.linear(name + ".q", size, size), weights.linear(name + ".o", size, size)
        self.kv = weights.linear(name + ".kv", 2 * size, size)
        self.gates = weights.linear(name + ".gates", 2 + self.has_momentum, size, bias=True)
        self.key_norm = weights.tensor(name + ".key_norm.weight", size)
        self.read_norm = weights.tensor(name + ".read_norm.weight", size)
        initial_KID = weights.tensor(name + ".initial", 2, config["memory_init_slots"], size)
        key_BHIK, value_BHIK = (split_heads(initial_KID[each, None], self.heads) for each in (0, 1))
        self.learned = Part(np.ascontiguousarray(key_BHIK), np.ascontiguousarray(value_BHIK))
        self.initial_ID = initial_KID[0]
        self.initial_size_I = np.maximum(np.sqrt(np.square(initial_KID[0]).sum(-1)), np.float32(1e-6))

    def write(
        self, h_BTD: np.ndarray, position_BT: np.ndarray, strength: Strength, stored: Stored
    ) -> tuple[Part, dict[str, np.ndarray]]:
        """What this call's tokens read, in every pass, and what they leave."""
        both_BT2D = self.kv(h_BTD)
        key_BTD = rms(both_BT2D[..., : self.size], self.eps, self.key_norm)
        value_BTD = both_BT2D[..., self.size :]
        masked_B1S = np.where(stored.position >= 0, np.float32(0), MASKED)[:, None]
        entries = Part(split_heads(stored.key, self.heads), split_heads(stored.value, self.heads))
        masked = entries._replace(bias=masked_B1S[:, None])
        surprise_BT, novelty_BT = self._judge(key_BTD, value_BTD, stored.key, masked_B1S, masked)
        gate_BTG = self.gates(h_BTD)
        surprise_BT = surprise_BT * sigmoid(gate_BTG[..., 1])
        surprise_BT, momentum_B = self._carry(gate_BTG, position_BT, surprise_BT, stored.momentum)
        rank_BT = np.log(surprise_BT * np.maximum(novelty_BT, 0) + np.float32(0.05))
        score_BT = rank_BT + strength.learned(surprise_BT, novelty_BT)
        age_BTS = (position_BT[:, :, None] - stored.position[:, None]).astype(np.float32)
        bias_BTS = stored.score[:, None] + age_BTS * strength.log_decay + masked_B1S
        left = {"key": key_BTD, "value": value_BTD, "score": score_BT, "rank": rank_BT, "momentum": momentum_B}
        return entries._replace(bias=bias_BTS[:, None]), left

    def read(self, h_BTD: np.ndarray, view: Part) -> tuple[np.ndarray, np.ndarray]:
        """What the tokens read, and how much of it to blend in."""
        query_BHTK = split_heads(rms(self.q(h_BTD), self.eps, self.key_norm), self.heads)
        mixed_BTD = merge_heads(attend(query_BHTK, [self._learned(len(h_BTD)), view]))
        return self.o(rms(mixed_BTD, self.eps, self.read_norm)), sigmoid(self.gates(h_BTD)[..., :1])

    def _learned(self, batch: int) -> Part:
        return Part(*(np.broadcast_to(each, (batch, *each.shape[1:])) for each in self.learned[:2]))

    def _judge(
        self, key_BTD: np.ndarray, value_BTD: np.ndarray, stored_BSD: np.ndarray, masked_B1S: np.ndarray,
        entries: Part,
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """Surprise and novelty."""
        parts = [self._learned(len(key_BTD)), entries]
        recalled_BTD = merge_heads(attend(split_heads(key_BTD, self.heads), parts))
        power_BT = np.square(value_BTD).sum(-1) + np.square(recalled_BTD).sum(-1)
        surprise_BT = np.square(value_BTD - recalled_BTD).sum(-1) / np.maximum(power_BT, np.float32(1e-12))
        size_BT1 = np.sqrt(np.square(key_BTD).sum(-1, keepdims=True))
        stored_B1S = np.maximum(np.sqrt(np.square(stored_BSD).sum(-1)), np.float32(1e-6))[:, None]
        cosine_BTS = key_BTD @ stored_BSD.swapaxes(1, 2) / (size_BT1 * stored_B1S) + masked_B1S
        cosine_BTI = key_BTD @ self.initial_ID.T / (size_BT1 * self.initial_size_I)
        return surprise_BT, 1 - np.maximum(cosine_BTI.max(-1), cosine_BTS.max(-1))

    def _carry(
        self, gate_BTG: np.ndarray, position_BT: np.ndarray, surprise_BT: np.ndarray, start_B: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """s[t] = keep[t] * s[t-1] + u[t]; padding changes nothing."""
        if not self.has_momentum:
            return surprise_BT, start_B
        keep_BT, now_B, carried = sigmoid(gate_BTG[..., 2]), start_B, []
        for column in range(surprise_BT.shape[1]):
            fresh_B = keep_BT[:, column] * now_B + surprise_BT[:, column]
            now_B = np.where(position_BT[:, column] >= 0, fresh_B, now_B)
            carried.append(now_B)
        return np.stack(carried, 1), now_B
