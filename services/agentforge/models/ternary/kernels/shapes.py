"""Titan and Llama, told to the C++ runner."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.kernels import layout
from agentforge.models.ternary.kernels.parts import Parts


def described(model: Any, context: int, parts: Parts) -> layout.Model:
    if model.dtype != torch.float32:  # whose sums are rounded to 16 bits everywhere
        raise _no_runner(f"a model that computes in {model.dtype}", "Load it in float32.")
    kind = model.config.model_type
    if kind == "agentforge_titan":
        _check_titan(model.config)
        return _titan(model, context, parts)
    if kind == "llama":
        return _llama(model, context, parts)
    raise _no_runner(f"a model of type {kind!r}", "Decode it with its own generate().")


def _check_titan(config: Any) -> None:
    if config.memory and config.memory_write == "random":  # its order hangs on the last bits of torch's sine
        raise _no_runner("a memory that forgets at random", "Decode it with generate(), its layers by use_kernels.")


def _no_runner(what: str, step: str) -> InvalidInput:
    return InvalidInput(f"the runner does not know {what}", reason="NO_RUNNER", field="model", next_step=step)


def _titan(model: Any, context: int, parts: Parts) -> layout.Model:
    config = model.config
    size, heads = config.hidden_size, config.num_attention_heads
    made = layout.Model(
        size=size, intermediate=config.intermediate_size, heads=heads, kv_heads=heads, head_size=size // heads,
        layers=config.num_hidden_layers, qkv_parts=1, window=config.sliding_window or 0,
        learned=config.persistent_tokens, context=context, normalise_input=1, eps=config.rms_norm_eps,
        rotary_scale=1.0,
    )  # fmt: skip
    made.frequency = parts.exact(config.rope_theta ** -(torch.arange(size // heads // 2) / (size // heads // 2)))
    _titan_steps(model, made, parts)
    if config.memory:
        made.remembering = _remembering(model.strength, config, parts)
    learned = _learned(model)
    layers = []
    for layer, (key, value) in zip(model.layers, learned, strict=True):
        told = layout.Layer(o=parts.linear(layer.attention.o))
        told.qkv[0] = parts.linear(layer.attention.qkv)
        if key is not None:
            told.learned_key, told.learned_value = parts.exact(key), parts.exact(value)
        if layer.memory is not None:
            told.memory = _memory(layer.memory, parts)
        layers.append(_rest(told, layer.attention_norm, layer.mlp_norm, layer.mlp, "", parts))
    made.layer = parts.array(layers)
    _ends(made, model.norm, model.embed_tokens, model.lm_head, parts)
    return made


@torch.no_grad()
def _remembering(strength: Any, config: Any, parts: Parts) -> layout.Remembering:
    first, _, last = strength.learned
    return layout.Remembering(
        chunk=config.memory_chunk, slots=config.memory_slots, learned=config.memory_init_slots,
        by_age=config.memory_write == "fifo", momentum=config.memory_momentum, hidden=first.out_features,
        log_decay=float(strength.log_decay()), out_bias=last.bias.item(), in_weight=parts.exact(first.weight),
        in_bias=parts.exact(first.bias), out_weight=parts.exact(last.weight),
    )  # fmt: skip


def _memory(memory: Any, parts: Parts) -> layout.Memory:
    if type(memory.gates) is not nn.Linear:  # their first row is also read alone, from the latents
        raise _no_runner("ternary gates of a memory", "Decode it with its own generate().")
    return layout.Memory(
        there=1, q=parts.linear(memory.q), kv=parts.linear(memory.kv), o=parts.linear(memory.o),
        gates=parts.linear(memory.gates), key_norm=parts.floats(memory.key_norm.weight),
        read_norm=parts.floats(memory.read_norm.weight), initial=parts.exact(memory.initial),
    )  # fmt: skip


@torch.no_grad()
def _learned(model: Any) -> list[tuple[Any, Any]]:
    """Keys and values of the persistent tokens; by one thread: torch's float sums depend on how many there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return model._persistent() or [(None, None)] * len(model.layers)
    finally:
        torch.set_num_threads(threads)


def _titan_steps(model: Any, made: layout.Model, parts: Parts) -> None:
    config = model.config
    if model.step_scale is None and model.start is None:
        return  # steps 0: one plain pass
    made.steps = 1 if model.step_scale is None else config.act_steps_infer
    made.step_scale = parts.exact(torch.ones(1) if model.step_scale is None else model.step_scale)
    made.recursion, made.cycles, made.inner = (
        model.start is not None,
        config.recursion_cycles,
        config.recursion_inner,
    )
    if model.start is not None:
        made.start, made.consolidate = parts.exact(model.start), parts.linear(model.consolidate)
    if model.halting is None or made.steps == 1:
        return
    halting = model.halting
    made.halts = 1
    made.halting = layout.Halting(
        features=parts.linear(halting.features), direct=parts.floats(halting.direct.weight),
        step_gain=parts.exact(halting.step_gain), step_bias=parts.exact(halting.step_bias),
        direct_bias=halting.direct.bias.item(), gain=tuple(halting.gain.tolist()), threshold=config.act_threshold,
    )  # fmt: skip


def _llama(model: Any, context: int, parts: Parts) -> layout.Model:
    config, rotary = model.config, model.model.rotary_emb
    if rotary.rope_type not in ("default", "linear", "llama3"):
        raise _no_runner(f"rotary positions of type {rotary.rope_type!r}", "Decode it with its own generate().")
    if config.hidden_act != "silu":
        raise _no_runner(f"the activation {config.hidden_act!r}", "Decode it with its own generate().")
    head_size = model.model.layers[0].self_attn.head_dim
    made = layout.Model(
        size=config.hidden_size, intermediate=config.intermediate_size, heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads, head_size=head_size, layers=config.num_hidden_layers, qkv_parts=3,
        context=context, eps=config.rms_norm_eps, rotary_scale=rotary.attention_scaling,
        frequency=parts.exact(rotary.inv_freq),
    )  # fmt: skip
    layers = []
    for layer in model.model.layers:
        told = layout.Layer(o=parts.linear(layer.self_attn.o_proj))
        for place, name in enumerate(("q_proj", "k_proj", "v_proj")):
            told.qkv[place] = parts.linear(getattr(layer.self_attn, name))
        norms = layer.input_layernorm, layer.post_attention_layernorm
        layers.append(_rest(told, *norms, layer.mlp, "_proj", parts))
    made.layer = parts.array(layers)
    _ends(made, model.model.norm, model.model.embed_tokens, model.lm_head, parts)
    return made


def _rest(told: layout.Layer, first: Any, second: Any, mlp: Any, suffix: str, parts: Parts) -> layout.Layer:
    told.attention_norm, told.mlp_norm = parts.floats(first.weight), parts.floats(second.weight)
    for name in ("gate", "up", "down"):
        setattr(told, name, parts.linear(getattr(mlp, name + suffix)))
    return told


def _ends(made: layout.Model, norm: Any, embedding: Any, head: Any, parts: Parts) -> None:
    made.norm = parts.floats(norm.weight)
    made.embedding = parts.table(embedding.weight)
    made.head = made.embedding if head.weight is embedding.weight else parts.table(head.weight)
