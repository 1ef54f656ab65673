"""Titan as a function of new tokens and explicit state. Keys and values of the past are read where they lie.

Shapes: B batch, T new tokens, P stored window entries, D hidden size, H heads, K head size, V vocabulary.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from agentforge.edge.graph.facts import PIECE, GraphFacts, MemoryFacts
from agentforge.edge.graph.functional import Part, attend, merge_heads, rms, rotary, rotate, seen_bias, split_heads
from agentforge.edge.graph.ternary import with_codes
from agentforge.edge.graph.titan_memory import EdgeMemory, Stored, Written
from agentforge.kit.errors import InvalidInput
from agentforge.models import TitanForCausalLM
from agentforge.models.memory_titan import MemoryStrength
from agentforge.models.modeling_titan import HaltingHead, TitanLayer

Pair = tuple[Tensor, Tensor]  # keys and values [B, H, P, K]
_NO_WEIGHT_EPS = torch.finfo(torch.float32).eps  # of F.rms_norm without an eps


class Call(NamedTuple):
    """What the layers of one call share."""

    position_BT: Tensor
    cos_B1TK: Tensor
    sin_B1TK: Tensor
    past: tuple[Any, Tensor]  # how many entries, and their bias [B, 1, T, P]
    new: tuple[Any, Tensor]  # likewise of the new tokens
    windows: list[Pair]
    stored: dict[int, Stored]
    new_windows: list[Pair]
    views: dict[int, Part]
    written: dict[int, Written]


class EdgeLayer(nn.Module):
    """Its parts have the names that they have in the model."""

    persistent_key: Tensor  # (1, H, persistent tokens, K)
    persistent_value: Tensor

    def __init__(self, layer: TitanLayer, persistent: Pair | None, log_decay: float) -> None:
        super().__init__()
        self.layer, self.log_decay = layer.layer, log_decay
        self.attention_norm, self.attention = layer.attention_norm, layer.attention
        self.mlp_norm, self.mlp = layer.mlp_norm, layer.mlp
        self.memory = None if layer.memory is None else EdgeMemory(layer.memory)
        self.head_size = layer.attention.qkv.weight.shape[1] // layer.attention.heads
        self.persistent_tokens = 0 if persistent is None else persistent[0].shape[2]
        if persistent is not None:
            self.register_buffer("persistent_key", persistent[0])
            self.register_buffer("persistent_value", persistent[1])

    def forward(self, x_BTD: Tensor, call: Call, strength: MemoryStrength | None) -> Tensor:
        h_BTD = _normed(x_BTD, self.attention_norm)
        mixed_BTD = self._attend(h_BTD, call)
        if self.memory is not None:
            assert strength is not None
            if self.layer not in call.views:  # written in the first pass, read in every one
                stored = call.stored[self.layer]
                made = self.memory.write(h_BTD, call.position_BT, strength, self.log_decay, stored)
                call.views[self.layer], call.written[self.layer] = made
            read_BTD, gate_BT1 = self.memory(h_BTD, call.views[self.layer])
            mixed_BTD = mixed_BTD + gate_BT1 * (read_BTD - mixed_BTD)
        x_BTD = x_BTD + mixed_BTD
        out_BTD: Tensor = x_BTD + self.mlp(_normed(x_BTD, self.mlp_norm))
        return out_BTD

    def _attend(self, h_BTD: Tensor, call: Call) -> Tensor:
        heads, size = self.attention.heads, self.head_size
        qkv_BHTK = split_heads(self.attention.qkv(h_BTD), 3 * heads, size)
        turned = rotate(qkv_BHTK[:, : 2 * heads], size // 2, call.cos_B1TK, call.sin_B1TK)
        query, key, value = turned[:, :heads], turned[:, heads:], qkv_BHTK[:, 2 * heads :]
        past_key, past_value = call.windows[len(call.new_windows)]
        call.new_windows.append((key, value))
        parts = [Part(past_key, past_value, *call.past), Part(key, value, *call.new)]
        if self.persistent_tokens:
            parts.insert(0, Part(self.persistent_key, self.persistent_value, self.persistent_tokens))
        out_BTD: Tensor = self.attention.o(merge_heads(attend(query, parts, size)))
        return out_BTD


class EdgeTitan(nn.Module):
    """Takes the model over: its ternary layers become others."""

    def __init__(self, model: TitanForCausalLM) -> None:
        super().__init__()
        config = self.config = model.config
        self.window = config.sliding_window
        self.strength = model.strength
        log_decay = _log_decay(model)
        self.facts = _facts(model, log_decay)
        with_codes(model)
        with torch.no_grad():
            persistent = model._persistent()
        pairs = [*persistent] if persistent else [None] * config.num_hidden_layers
        self.embed_tokens = model.embed_tokens
        self.layers = nn.ModuleList(
            EdgeLayer(layer, pair, log_decay)
            for layer, pair in zip(model.layers, pairs, strict=True)
            if isinstance(layer, TitanLayer)
        )
        self.norm, self.lm_head, self.consolidate = model.norm, model.lm_head, model.consolidate
        self.halting, self.start = model.halting, model.start
        scale = model.step_scale
        self.scales = [1.0] if scale is None else scale.detach().tolist()[: config.act_steps_infer]

    def forward(
        self, input_ids: Tensor, position: Tensor, past_position: Tensor, windows: list[Pair],
        memories: list[tuple[Tensor, ...]],
    ) -> tuple[Tensor, ...]:  # fmt: skip
        pairs = self.facts.head_size // 2
        cos_sin = rotary(position, pairs, self.config.rope_theta)
        past, new = ((each.shape[1], seen_bias(position, each, self.window)) for each in (past_position, position))
        layers = self.facts.memory.layers if self.facts.memory else ()
        stored = {layer: Stored(*given) for layer, given in zip(layers, memories, strict=True)}
        call = Call(position, *cos_sin, past, new, windows, stored, [], {}, {})
        states = self._think(rms(self.embed_tokens(input_ids), _NO_WEIGHT_EPS), call)
        logits_BV = self.lm_head(self._halt([state_BTD[:, -1] for state_BTD in states]))
        kept = [each for pair in call.new_windows for each in pair]
        return (logits_BV, *kept, *(each for layer in layers for each in call.written[layer]))

    def _think(self, x_BTD: Tensor, call: Call) -> list[Tensor]:
        """The answer's state after each step, as TitanForCausalLM has it."""
        if self.config.act is False and self.start is None:
            return [self._pass(x_BTD, call)]
        y_BTD, z_BTD = (torch.zeros_like(x_BTD), x_BTD) if self.start is None else self.start.unbind()
        states = []
        for scale in self.scales:
            if self.start is None:
                y_BTD = y_BTD + scale * rms(self._pass(x_BTD + y_BTD, call), _NO_WEIGHT_EPS)
            else:
                for _ in range(self.config.recursion_cycles):
                    for _ in range(self.config.recursion_inner):
                        z_BTD = rms(self._pass(x_BTD + y_BTD + z_BTD, call), _NO_WEIGHT_EPS)
                    y_BTD = y_BTD + scale * self._consolidated(z_BTD)
            states.append(y_BTD)
        return states

    def _consolidated(self, z_BTD: Tensor) -> Tensor:
        assert self.consolidate is not None
        out_BTD: Tensor = self.consolidate(z_BTD)
        return out_BTD

    def _pass(self, x_BTD: Tensor, call: Call) -> Tensor:
        for layer in self.layers:
            x_BTD = layer(x_BTD, call, self.strength)
        return x_BTD

    def _halt(self, states: list[Tensor]) -> Tensor:
        """Graves' mean of the steps' answers, of the last column alone: running sums, since CumSum is a loop."""
        if self.halting is None or len(states) == 1:
            return _normed(states[-1], self.norm)
        before = torch.zeros_like(states[0][:, 0])
        active = before == before
        mean_BD = torch.zeros_like(states[0])
        for step, state_BD in enumerate(states):
            rest = 1 - before
            if step < len(states) - 1:
                halt = _halting(self.halting, _normed(state_BD, self.norm), step)
                before = before + halt
                goes_on = before < self.config.act_threshold
                share = torch.where(active, torch.where(goes_on, halt, rest), 0.0)
                active = goes_on
            else:
                share = torch.where(active, rest, 0.0)
            mean_BD = mean_BD + share[:, None] * state_BD
        return _normed(mean_BD, self.norm)


def _halting(head: HaltingHead, h_BD: Tensor, step: int) -> Tensor:
    probability: Tensor = head(h_BD, step)
    return probability


def _normed(x: Tensor, norm: nn.RMSNorm) -> Tensor:
    assert norm.eps is not None
    return rms(x, norm.eps, norm.weight)


def _facts(model: TitanForCausalLM, log_decay: float) -> GraphFacts:
    config: Any = model.config
    memory = None
    if config.memory:
        if config.memory_write == "random":
            message = "memory_write is random: a runtime elsewhere cannot draw the same numbers"
            step = "Take a model with surprise_novelty or fifo."
            raise InvalidInput(message, reason="CANNOT_EXPORT", field="memory_write", next_step=step)
        layers = tuple(sorted(config.memory_layers))
        facts = (config.memory_slots, config.memory_chunk, config.memory_write, log_decay)
        memory = MemoryFacts(layers, *facts)
    steps = config.act_steps_infer if config.act else 1
    inner = config.recursion_cycles * config.recursion_inner if config.recursion else 1
    heads = config.num_attention_heads
    return GraphFacts(
        config.vocab_size, config.hidden_size, heads, config.hidden_size // heads,
        steps * inner * config.num_hidden_layers, config.sliding_window, None,
        config.memory_chunk if config.memory else PIECE, memory,
    )  # fmt: skip


def _log_decay(model: TitanForCausalLM) -> float:
    with torch.no_grad():
        return 0.0 if model.strength is None else float(model.strength.log_decay())
