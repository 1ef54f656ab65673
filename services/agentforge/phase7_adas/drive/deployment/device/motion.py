"""The motion language model in plain numpy: what a road user may do next, from the words that tell of it."""

from __future__ import annotations

from typing import Any

import numpy as np


class Motion:
    def __init__(self, weights: dict[str, Any], spec: dict[str, Any]) -> None:
        self.weights = {name: np.asarray(value, dtype=np.float32) for name, value in weights.items()}
        self.spec = spec
        self.layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("layers."))

    def logits(self, tokens_NT: Any) -> Any:
        """(N, T, motions): of the token that follows each."""
        weights = self.weights
        x = _normal(weights["embed_tokens.weight"], 1.2e-7)[tokens_NT]
        for layer in range(self.layers):
            name = f"layers.{layer}."
            query_key_value = (_normal(x, 1e-6) * weights[name + "attention_norm.weight"]) @ weights[
                name + "attention.qkv.weight"
            ].T
            x = x + self._attended(query_key_value) @ weights[name + "attention.o.weight"].T
            y = _normal(x, 1e-6) * weights[name + "mlp_norm.weight"]
            gate, up = y @ weights[name + "mlp.gate.weight"].T, y @ weights[name + "mlp.up.weight"].T
            x = x + (gate / (1.0 + np.exp(-gate)) * up) @ weights[name + "mlp.down.weight"].T
        motions = self.spec["motions"]
        return (_normal(x, 1e-6) * weights["norm.weight"]) @ weights["embed_tokens.weight"][:motions].T

    def _attended(self, qkv_NTC: Any) -> Any:
        many, length, _ = qkv_NTC.shape
        heads = self.spec["heads"]
        query, key, value = qkv_NTC.reshape(many, length, 3, heads, -1).transpose(2, 0, 3, 1, 4)
        wide = query.shape[-1]
        angle = np.arange(length)[:, None] * self.spec["theta"] ** -(np.arange(wide // 2) / (wide // 2))
        cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        score = _turned(query, cos, sin) @ _turned(key, cos, sin).transpose(0, 1, 3, 2) * np.float32(wide**-0.5)
        score = score + np.where(np.tri(length, dtype=bool), np.float32(0), np.float32(-1e9))
        weight = np.exp(score - score.max(axis=-1, keepdims=True))
        mixed = (weight / weight.sum(axis=-1, keepdims=True)) @ value
        return mixed.transpose(0, 2, 1, 3).reshape(many, length, -1)

    def foresee(self, words_NW: Any, draws_T: Any) -> Any:
        """Motion tokens (N, T): each by the inverse of its distribution at its draw from 0 to 1."""
        tokens_NT = np.asarray(words_NW)
        for draw in draws_T:
            last = self.logits(tokens_NT)[:, -1]
            total = np.cumsum(np.exp(last - last.max(axis=-1, keepdims=True)), axis=-1)
            chosen = np.minimum((total < draw * total[:, -1:]).sum(axis=-1), self.spec["motions"] - 1)
            tokens_NT = np.concatenate([tokens_NT, chosen[:, None]], axis=1)
        return tokens_NT[:, np.asarray(words_NW).shape[1] :]


def _normal(x: Any, eps: float) -> Any:
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(eps))


def _turned(x_NHTE: Any, cos: Any, sin: Any) -> Any:
    left, right = np.split(x_NHTE, 2, axis=-1)
    return np.concatenate([left * cos - right * sin, right * cos + left * sin], axis=-1)
