"""What a candidate costs, counted from its shapes: the same on every machine, so the search may decide by it.

Measured latency is noise to a search; it is measured for the front alone (latency.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from agentforge.phase7_adas.search.weights import stored_bytes
from agentforge.shrink.anatomy import anatomy
from agentforge.shrink.asking import Genes
from agentforge.train.state import own_tensors


@dataclass(frozen=True)
class Cost:
    parameters: int
    bytes: int  # of weights in a file
    flops: int  # of one decoded token: matrix products, two for a multiplication with its addition
    moved: int  # bytes read for one decoded token: weights at every pass through them, keys and values


def cost_of(model: Any, genes: Genes, context: int) -> Cost:
    """`context`: tokens that are seen, at most the window."""
    parts = anatomy(model)
    sizes, passes = stored_bytes(model, genes), _passes(model)
    tensors = own_tensors(model)
    products = moved = 0
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            times = _times(name, parts.number(name) is not None, passes, model)
            products += times * module.in_features * module.out_features
            weight = f"{name}.weight" if f"{name}.weight" in sizes else _tied_to(model, module)
            moved += times * sizes[weight]
    pairs = _attended(model, context)
    return Cost(
        parameters=sum(tensor.numel() for tensor in tensors.values()),
        bytes=sum(sizes.values()),
        flops=2 * (products + passes * 2 * pairs),
        moved=moved + passes * 2 * pairs * model.dtype.itemsize,
    )


def _passes(model: Any) -> int:
    """Through the layers, for one token."""
    config = model.config
    if not hasattr(config, "act_steps_infer"):
        return 1
    steps = config.act_steps_infer if config.act else 1
    return int(steps * config.recursion_cycles * config.recursion_inner) if config.recursion else int(steps)


def _times(name: str, layered: bool, passes: int, model: Any) -> int:
    """How often one token goes through this layer."""
    if layered:
        return 1 if name.endswith("memory.kv") else passes  # a token is written once
    if name.startswith("halting."):
        return int(model.config.act_steps_infer) - 1
    if name == "consolidate":
        return int(model.config.act_steps_infer * model.config.recursion_cycles)
    return 1


def _attended(model: Any, context: int) -> int:
    """Numbers of keys (as many of values) that one pass reads: of the window and of the memory."""
    config = model.config
    window = getattr(config, "sliding_window", None) or context
    seen = min(context, window) + getattr(config, "persistent_tokens", 0)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    keys = config.num_hidden_layers * seen * config.num_attention_heads * head
    if getattr(config, "memory", False):
        slots = config.memory_slots + config.memory_init_slots
        keys += len(config.memory_layers) * slots * config.hidden_size
    return int(keys)


def _tied_to(model: Any, module: nn.Linear) -> str:
    found: str = next(name for name, tensor in model.named_parameters() if tensor is module.weight)
    return found
