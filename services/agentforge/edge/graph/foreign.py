"""Any Hugging Face causal language model with full attention, as a function of new tokens and explicit state.

Shapes: B batch, T new tokens, P stored entries, H heads of keys, K head size, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache

from agentforge.edge.graph.facts import GraphFacts
from agentforge.edge.graph.functional import seen_bias
from agentforge.edge.graph.ternary import with_codes
from agentforge.kit.errors import InvalidInput

Pair = tuple[Tensor, Tensor]


class GivenCache(Cache):
    """What was given stands before what comes; what came is kept apart."""

    def __init__(self, windows: list[Pair]) -> None:
        super().__init__(layers=[])
        self.windows, self.new = windows, dict[int, Pair]()

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        self.new[layer_idx] = (key_states, value_states)
        past_key, past_value = self.windows[layer_idx]
        return torch.cat((past_key, key_states), 2), torch.cat((past_value, value_states), 2)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.windows[layer_idx][0].shape[2]


class EdgeForeign(nn.Module):
    """Takes the model over: its ternary layers become others, its attention the plain one."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.facts = _facts(model)
        with_codes(model)
        model.set_attn_implementation("eager")  # the one that takes a mask with four dimensions as it is
        self.model = model

    def forward(
        self, input_ids: Tensor, position: Tensor, past_position: Tensor, windows: list[Pair],
        memories: list[tuple[Tensor, ...]],
    ) -> tuple[Tensor, ...]:  # fmt: skip
        cache = GivenCache(windows)
        biases = [seen_bias(position, each, self.facts.window) for each in (past_position, position)]
        out = self.model(
            input_ids=input_ids, attention_mask=torch.cat(biases, -1), position_ids=position.clamp_min(0).long(),
            past_key_values=cache, use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        new = [each for index in range(self.facts.windows) for each in cache.new[index]]
        return (out.logits[:, -1], *new)


def _facts(model: Any) -> GraphFacts:
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    if window is not None and len(set(getattr(config, "layer_types", None) or ["sliding_attention"])) > 1:
        message = "some layers see a window and others everything: the graph's state has one window for all"
        step = "Give a model whose layers see alike."
        raise InvalidInput(message, reason="CANNOT_EXPORT", field="layer_types", next_step=step)
    context = getattr(config, "max_position_embeddings", None)
    return GraphFacts(config.vocab_size, config.hidden_size, heads, size, config.num_hidden_layers, window, context)
