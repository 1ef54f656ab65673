"""The motion language model as the driving loop runs it: in numpy, all tracks and samples at once, without torch.

Shapes: N tracks, R rollouts of each, H heads, E numbers in a head, D hidden size. The words of a track are read
once; its rollouts share them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.prediction.context import WORDS
from agentforge.phase7_adas.drive.prediction.tokens import MOTIONS, TOKENS
from agentforge.phase7_adas.drive.truth import Ints

Small = NDArray[np.float32]
WEIGHTS: Final = Path(__file__).parent / "weights" / "motion_lm.npz"
HEADS: Final = 4
THETA: Final = 10_000.0
ROLLOUTS: Final = 8
"""More made the modes no better on ten scenes that no reported figure uses, and cost in proportion."""


@dataclass(frozen=True)
class Layer:
    attention_norm: Small
    qkv: Small
    o: Small
    mlp_norm: Small
    gate_up: Small
    down: Small


class MotionLM:
    """TitanForCausalLM without memory, recursion and halting, from its own state dict."""

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        self.weights = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in weights.items()}
        self.embedding = _normal(self.weights["embed_tokens.weight"], 1.2e-7)
        self.head = np.ascontiguousarray(self.weights["embed_tokens.weight"][:MOTIONS].T)
        self.norm = self.weights["norm.weight"]
        many = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("layers."))
        self.layers = [self._layer(f"layers.{at}.") for at in range(many)]
        self.size = self.embedding.shape[1]
        self._scale = np.float32((self.size // HEADS) ** -0.5)
        pairs = self.size // HEADS // 2
        angle = np.arange(WORDS + TOKENS)[:, None] * THETA ** -(np.arange(pairs) / pairs)
        self._cos, self._sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)

    @property
    def turning(self) -> tuple[Small, Small]:
        """Cosines and sines of queries and keys by place."""
        return self._cos, self._sin

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> MotionLM:
        with np.load(path) as file:
            return cls({name: file[name].astype(np.float32) for name in file.files})

    def _layer(self, name: str) -> Layer:
        take = {key[len(name) :]: value for key, value in self.weights.items() if key.startswith(name)}
        turned = {key: np.ascontiguousarray(value.T) for key, value in take.items() if value.ndim == 2}
        return Layer(
            take["attention_norm.weight"], turned["attention.qkv.weight"], turned["attention.o.weight"],
            take["mlp_norm.weight"],
            np.ascontiguousarray(np.concatenate([turned["mlp.gate.weight"], turned["mlp.up.weight"]], axis=1)),
            turned["mlp.down.weight"],
        )  # fmt: skip

    def logits(self, tokens_NT: Ints) -> Small:
        """(N, T, MOTIONS): the whole sequence at once; what training is checked against."""
        return self._told(self._read(tokens_NT)[0])

    def sample(self, words_NW: Ints, draws_RT: Small) -> Ints:
        """Motion tokens (N, R, TOKENS): by the inverse of the distribution at these draws from 0 to 1."""
        many, rollouts = len(words_NW), len(draws_RT)
        x, words = self._read(words_NW)
        first = self._told(x[:, -1:])
        chosen = [_choose(np.broadcast_to(first, (many, rollouts, MOTIONS)), draws_RT[:, 0])]
        shape = (len(self.layers), 2, many, HEADS, rollouts, TOKENS - 1, self.size // HEADS)
        own = np.empty(shape, dtype=np.float32)
        for at in range(TOKENS - 1):
            chosen.append(_choose(self._speak(chosen[-1], at, words, own), draws_RT[:, at + 1]))
        return np.stack(chosen, axis=2)

    def _read(self, tokens_NT: Ints) -> tuple[Small, list[tuple[Small, Small]]]:
        """The last states (N, T, D), and keys and values of each layer (N, H, T, E)."""
        length = tokens_NT.shape[1]
        x: Small = self.embedding[tokens_NT]
        past: list[tuple[Small, Small]] = []
        hidden = np.where(np.tri(length, dtype=bool), np.float32(0), np.float32(-1e9))
        for layer in self.layers:
            query, key, value = _heads((_normal(x, 1e-6) * layer.attention_norm) @ layer.qkv)
            query, key = self._turned(query, slice(0, length)), self._turned(key, slice(0, length))
            past.append((key, value))
            weight = _softmax(query @ key.transpose(0, 1, 3, 2) * self._scale + hidden)
            x = self._after(x, weight @ value, layer)
        return x, past

    def _speak(self, tokens_NR: Ints, at: int, words: list[tuple[Small, Small]], own: Small) -> Small:
        """Logits (N, R, MOTIONS) after token `at` of every rollout, which sees its track's words and itself."""
        x = self.embedding[tokens_NR]
        place = slice(WORDS + at, WORDS + at + 1)
        for number, layer in enumerate(self.layers):
            query, key, value = _heads((_normal(x, 1e-6) * layer.attention_norm) @ layer.qkv)
            query = self._turned(query, place)
            own[number, 0, :, :, :, at], own[number, 1, :, :, :, at] = self._turned(key, place), value
            keys, values = own[number, 0, ..., : at + 1, :], own[number, 1, ..., : at + 1, :]
            to_words = query @ words[number][0].transpose(0, 1, 3, 2)
            to_own = np.einsum("nhre,nhrte->nhrt", query, keys)
            weight = _softmax(np.concatenate([to_words, to_own], axis=3) * self._scale)
            mixed = weight[..., :WORDS] @ words[number][1]
            mixed += np.einsum("nhrt,nhrte->nhre", weight[..., WORDS:], values)
            x = self._after(x, mixed, layer)
        return self._told(x)

    def _after(self, x_NTD: Small, mixed_NHTE: Small, layer: Layer) -> Small:
        x = x_NTD + mixed_NHTE.transpose(0, 2, 1, 3).reshape(x_NTD.shape) @ layer.o
        gate, up = np.split((_normal(x, 1e-6) * layer.mlp_norm) @ layer.gate_up, 2, axis=-1)
        return np.asarray(x + (gate / (1.0 + np.exp(-gate)) * up) @ layer.down, dtype=np.float32)

    def _told(self, x_NTD: Small) -> Small:
        return np.asarray((_normal(x_NTD, 1e-6) * self.norm) @ self.head, dtype=np.float32)

    def _turned(self, x_NHTE: Small, place: slice) -> Small:
        cos, sin = self._cos[place], self._sin[place]
        left, right = np.split(x_NHTE, 2, axis=-1)
        return np.concatenate([left * cos - right * sin, right * cos + left * sin], axis=-1)


def _heads(qkv_BTD: NDArray[Any]) -> tuple[Small, Small, Small]:
    batch, length, _ = qkv_BTD.shape
    split: Small = qkv_BTD.reshape(batch, length, 3, HEADS, -1).transpose(2, 0, 3, 1, 4)
    return split[0], split[1], split[2]


@lru_cache
def draws(rollouts: int) -> Small:
    """The same for all tracks and ticks, evenly spread: what differs between two ticks is what was seen."""
    rng = Rng(0, "adas/drive/prediction/draws", rollouts).numpy()
    spread = (np.arange(rollouts) + 0.5) / rollouts
    made = np.stack([spread] + [rng.permutation(spread) for _ in range(TOKENS - 1)], axis=1).astype(np.float32)
    made.flags.writeable = False
    return made


def _normal(x: Small, eps: float) -> Small:
    squared = np.einsum("...d,...d->...", x, x)[..., None] / np.float32(x.shape[-1])
    normal: Small = x / np.sqrt(squared + np.float32(eps))
    return normal


def _softmax(score: Small) -> Small:
    weight = np.exp(score - score.max(axis=-1, keepdims=True))
    softmax: Small = weight / weight.sum(axis=-1, keepdims=True)
    return softmax


def _choose(logits_NRV: Small, draw_R: Small) -> Ints:
    total = np.cumsum(np.exp(logits_NRV - logits_NRV.max(axis=-1, keepdims=True)), axis=-1)
    chosen: Ints = (total < draw_R[:, None] * total[..., -1:]).sum(axis=-1)
    return np.minimum(chosen, MOTIONS - 1)
