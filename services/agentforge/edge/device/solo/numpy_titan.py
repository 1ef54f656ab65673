"""Titan as a backend of the runtime: what edge/graph/titan.py exports, in numpy.

Shapes: B rows, T new tokens, P stored window entries, D hidden size, H heads, K head size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..runtime.contract import Graph
from ..runtime.contract import Memory as MemoryRule
from .linear import joined
from .maths import Part, attend, merge_heads, rms, rotate, seen_bias, silu, split_heads, turns
from .titan_memory import Memory, Stored, Strength
from .titan_steps import Steps
from .weights import Weights

KIND = "agentforge_titan"
PIECE = 64  # most new tokens of one call, where no memory's chunk says it


class Call(NamedTuple):
    """What the layers of one call share."""

    inputs: Mapping[str, np.ndarray]
    position_BT: np.ndarray
    turns: tuple[np.ndarray, np.ndarray]
    past_bias: np.ndarray
    new_bias: np.ndarray
    outputs: dict[str, np.ndarray]
    views: dict[int, Part]


class Layer:
    def __init__(self, weights: Weights, number: int, config: dict[str, Any]) -> None:
        size, wide, name = config["hidden_size"], config["intermediate_size"], f"layers.{number}"
        self.number, self.heads, self.eps = number, config["num_attention_heads"], config["rms_norm_eps"]
        self.attention_norm = weights.tensor(name + ".attention_norm.weight", size)
        self.mlp_norm = weights.tensor(name + ".mlp_norm.weight", size)
        self.qkv = weights.linear(name + ".attention.qkv", 3 * size, size)
        self.o = weights.linear(name + ".attention.o", size, size)
        gate, up = (weights.linear(f"{name}.mlp.{each}", wide, size) for each in ("gate", "up"))
        self.gate_up, self.down = joined(gate, up), weights.linear(name + ".mlp.down", size, wide)
        self.memory: Memory | None = None
        if config["memory"] and number in config["memory_layers"]:
            self.memory = Memory(weights, name + ".memory", config)
        self.persistent: Part | None = None

    def learn_persistent(self, token_PD: np.ndarray) -> None:
        h_1PD = rms(token_PD[None], self.eps, self.attention_norm)
        _, key, value = np.split(split_heads(self.qkv(h_1PD), 3 * self.heads), 3, 1)
        self.persistent = Part(np.ascontiguousarray(key), np.ascontiguousarray(value))

    def __call__(self, x_BTD: np.ndarray, call: Call, window: int, strength: Strength | None) -> np.ndarray:
        h_BTD = rms(x_BTD, self.eps, self.attention_norm)
        mixed_BTD = self._attend(h_BTD, call, window)
        if self.memory is not None:
            assert strength is not None
            if self.number not in call.views:  # written in the first pass, read in every one
                self._write(h_BTD, call, strength, self.memory)
            read_BTD, gate_BT1 = self.memory.read(h_BTD, call.views[self.number])
            mixed_BTD = mixed_BTD + gate_BT1 * (read_BTD - mixed_BTD)
        x_BTD = x_BTD + mixed_BTD
        both = self.gate_up(rms(x_BTD, self.eps, self.mlp_norm))
        middle = both.shape[-1] // 2
        out_BTD: np.ndarray = x_BTD + self.down(silu(both[..., :middle]) * both[..., middle:])
        return out_BTD

    def _attend(self, h_BTD: np.ndarray, call: Call, window: int) -> np.ndarray:
        qkv_BHTK = split_heads(self.qkv(h_BTD), 3 * self.heads)
        turned = rotate(qkv_BHTK[:, : 2 * self.heads], *call.turns)
        key, value = turned[:, self.heads :], qkv_BHTK[:, 2 * self.heads :]
        call.outputs[f"new.{window}.key"], call.outputs[f"new.{window}.value"] = key, value
        past = Part(call.inputs[f"window.{window}.key"], call.inputs[f"window.{window}.value"], call.past_bias)
        parts = [past, Part(key, value, call.new_bias)]
        if self.persistent is not None:
            learned = (np.broadcast_to(each, (len(key), *each.shape[1:])) for each in self.persistent[:2])
            parts.insert(0, Part(*learned))
        return self.o(merge_heads(attend(turned[:, : self.heads], parts)))

    def _write(self, h_BTD: np.ndarray, call: Call, strength: Strength, memory: Memory) -> None:
        stored = Stored(*(call.inputs[f"memory.{self.number}.{name}"] for name in Stored._fields))
        call.views[self.number], left = memory.write(h_BTD, call.position_BT, strength, stored)
        call.outputs.update((f"memory.{self.number}.new_{name}", array) for name, array in left.items())


class NumpyTitan:
    name, version, file = "numpy", str(np.__version__), "model.forge"

    def __init__(self, weights: Weights, config: dict[str, Any]) -> None:
        self.config, size = config, config["hidden_size"]
        self.embed_VD = weights.tensor("embed_tokens.weight", config["vocab_size"], size)
        self.head_VD = self.embed_VD
        if not config["tie_word_embeddings"]:
            self.head_VD = weights.tensor("lm_head.weight", config["vocab_size"], size)
        self.norm, self.eps = weights.tensor("norm.weight", size), config["rms_norm_eps"]
        self.layers = [Layer(weights, number, config) for number in range(config["num_hidden_layers"])]
        self.strength = Strength(weights, config["memory_decay"]) if config["memory"] else None
        if config["persistent_tokens"]:
            learned_PD = weights.tensor("persistent", config["persistent_tokens"], size)
            for layer in self.layers:
                layer.learn_persistent(learned_PD)
        self.steps = Steps(weights, config)
        pairs = size // config["num_attention_heads"] // 2
        power_K = -(np.arange(pairs, dtype=np.float32) / np.float32(pairs))
        self.frequency_K = np.float32(config["rope_theta"]) ** power_K

    def graph(self, eos: int | None, bos: int | None) -> Graph:
        config, memory = self.config, None
        if self.strength is not None:
            rule = (config["memory_slots"], config["memory_chunk"], config["memory_write"])
            memory = MemoryRule(tuple(sorted(config["memory_layers"])), *rule, float(self.strength.log_decay))
        heads = config["num_attention_heads"]
        return Graph(
            config["vocab_size"], config["hidden_size"], heads, config["hidden_size"] // heads,
            self.steps.passes * len(self.layers), config["sliding_window"], None,
            config["memory_chunk"] if memory else PIECE, memory, eos, bos,
        )  # fmt: skip

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with np.errstate(over="ignore"):
            position, past, window = inputs["position"], inputs["past_position"], self.config["sliding_window"]
            past_bias, new_bias = (seen_bias(position, each, window) for each in (past, position))
            turned_by = turns(position, self.frequency_K)
            call = Call(inputs, position, turned_by, past_bias, new_bias, {}, {})
            x_BTD = rms(self.embed_VD[inputs["input_ids"]])
            states = self.steps.think(x_BTD, lambda x, number: self._pass(x, call, number))
            answer_BD = self.steps.halt([state[:, -1] for state in states], self._normed)
            call.outputs["logits"] = answer_BD @ self.head_VD.T
            return call.outputs

    def _pass(self, x_BTD: np.ndarray, call: Call, number: int) -> np.ndarray:
        for layer in self.layers:
            x_BTD = layer(x_BTD, call, number * len(self.layers) + layer.number, self.strength)
        return x_BTD

    def _normed(self, x: np.ndarray) -> np.ndarray:
        return rms(x, self.eps, self.norm)
