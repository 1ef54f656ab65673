"""Llama as a backend of the runtime, in numpy.

Shapes: B rows, T new tokens, D hidden size, H heads, K head size, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..runtime.contract import Graph
from .linear import joined
from .maths import Part, attend, merge_heads, rms, rotate, seen_bias, silu, split_heads, turns
from .weights import Weights

KIND = "llama"
PIECE = 64


class Sizes(NamedTuple):
    heads: int
    key_heads: int
    head_size: int


class Layer:
    def __init__(self, weights: Weights, number: int, config: dict[str, Any], sizes: Sizes) -> None:
        self.number, self.sizes, self.eps = number, sizes, config["rms_norm_eps"]
        size, wide, name = config["hidden_size"], config["intermediate_size"], f"model.layers.{number}"
        self.attention_norm = weights.tensor(name + ".input_layernorm.weight", size)
        self.mlp_norm = weights.tensor(name + ".post_attention_layernorm.weight", size)
        bias, rows = (
            bool(config.get("attention_bias")),
            {"q": sizes.heads, "k": sizes.key_heads, "v": sizes.key_heads},
        )
        qkv = [
            weights.linear(f"{name}.self_attn.{each}_proj", count * sizes.head_size, size, bias)
            for each, count in rows.items()
        ]
        self.qkv = joined(*qkv)
        self.o = weights.linear(name + ".self_attn.o_proj", size, sizes.heads * sizes.head_size, bias)
        bias = bool(config.get("mlp_bias"))
        gate, up = (weights.linear(f"{name}.mlp.{each}_proj", wide, size, bias) for each in ("gate", "up"))
        self.gate_up, self.down = joined(gate, up), weights.linear(name + ".mlp.down_proj", size, wide, bias)

    def __call__(
        self, x_BTD: np.ndarray, inputs: Mapping[str, np.ndarray], turned_by: tuple[np.ndarray, np.ndarray],
        biases: tuple[np.ndarray, np.ndarray], outputs: dict[str, np.ndarray],
    ) -> np.ndarray:  # fmt: skip
        heads, key_heads, _ = self.sizes
        qkv = split_heads(self.qkv(rms(x_BTD, self.eps, self.attention_norm)), heads + 2 * key_heads)
        turned = rotate(qkv[:, : heads + key_heads], *turned_by)
        key, value = turned[:, heads:], qkv[:, heads + key_heads :]
        outputs[f"new.{self.number}.key"], outputs[f"new.{self.number}.value"] = key, value
        past_key, past_value = (inputs[f"window.{self.number}.{each}"] for each in ("key", "value"))
        parts = [Part(past_key, past_value, biases[0]), Part(key, value, biases[1])]
        x_BTD = x_BTD + self.o(merge_heads(self._attend(turned[:, :heads], parts)))
        both = self.gate_up(rms(x_BTD, self.eps, self.mlp_norm))
        middle = both.shape[-1] // 2
        out_BTD: np.ndarray = x_BTD + self.down(silu(both[..., :middle]) * both[..., middle:])
        return out_BTD

    def _attend(self, query: np.ndarray, parts: list[Part]) -> np.ndarray:
        """Queries that share a head of keys are rows of one product: no key is copied."""
        batch, heads, time, size = query.shape
        shared = heads // self.sizes.key_heads
        rows = query.reshape(batch, self.sizes.key_heads, shared * time, size)
        alike = [
            part._replace(bias=np.tile(part.bias, (1, 1, shared, 1))) for part in parts if part.bias is not None
        ]
        return attend(rows, alike).reshape(batch, heads, time, size)


class NumpyLlama:
    name, version, file = "numpy", str(np.__version__), "model.forge"

    def __init__(self, weights: Weights, config: dict[str, Any]) -> None:
        heads = config["num_attention_heads"]
        size = config.get("head_dim") or config["hidden_size"] // heads
        self.config, self.sizes = config, Sizes(heads, config.get("num_key_value_heads") or heads, size)
        shape = (config["vocab_size"], config["hidden_size"])
        self.embed_VD = weights.tensor("model.embed_tokens.weight", *shape)
        tied = config.get("tie_word_embeddings", False)
        self.head_VD = self.embed_VD if tied else weights.tensor("lm_head.weight", *shape)
        self.norm = weights.tensor("model.norm.weight", config["hidden_size"])
        numbers = range(config["num_hidden_layers"])
        self.layers = [Layer(weights, number, config, self.sizes) for number in numbers]
        self.frequency_K = frequencies(config, size)

    def graph(self, eos: int | None, bos: int | None) -> Graph:
        config, (_, key_heads, size) = self.config, self.sizes
        return Graph(
            config["vocab_size"], config["hidden_size"], key_heads, size, len(self.layers), None,
            config.get("max_position_embeddings"), PIECE, None, eos, bos,
        )  # fmt: skip

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with np.errstate(over="ignore"):
            position = inputs["position"]
            outputs: dict[str, np.ndarray] = {}
            turned_by = turns(position, self.frequency_K)
            biases = (seen_bias(position, inputs["past_position"], None), seen_bias(position, position, None))
            x_BTD = self.embed_VD[inputs["input_ids"]]
            for layer in self.layers:
                x_BTD = layer(x_BTD, inputs, turned_by, biases, outputs)
            outputs["logits"] = rms(x_BTD[:, -1], self.config["rms_norm_eps"], self.norm) @ self.head_VD.T
            return outputs


def rope(config: dict[str, Any]) -> dict[str, Any]:
    """Of configs as they are now, and as they were before transformers 5."""
    found = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    found.setdefault("rope_theta", config.get("rope_theta", 10_000.0))
    found.setdefault("rope_type", found.get("type", "default"))
    return found


def frequencies(config: dict[str, Any], head_size: int) -> np.ndarray:
    told = rope(config)
    power_K = np.arange(0, head_size, 2, dtype=np.float32) / np.float32(head_size)
    frequency_K: np.ndarray = np.float32(1) / np.float32(told["rope_theta"]) ** power_K
    if told["rope_type"] != "llama3":
        return frequency_K
    # Llama 3.1: slow turns are slowed down by a factor, quick ones stay, and between them it is blended.
    low, high = told["low_freq_factor"], told["high_freq_factor"]
    turns_K = told["original_max_position_embeddings"] * frequency_K / (2 * math.pi)
    share_K = np.clip((turns_K - low) / (high - low), 0, 1)
    blended_K: np.ndarray = (1 - share_K) * frequency_K / told["factor"] + share_K * frequency_K
    return blended_K.astype(np.float32)
