"""The configs of students, and which GGUF types their widths allow."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from agentforge.kit.errors import InvalidInput
from agentforge.models import TitanConfig
from agentforge.models.fields_titan import BadField

GGUF_BLOCKS = {"F16": 1, "Q8_0": 32, "Q4_0": 32, "Q4_K_M": 256, "Q2_K": 256, "TQ2_0": 256}
"""How many numbers of a row are stored together: each matrix's number of inputs is a multiple of it."""

_POSITIONS = 2_048  # that a Llama is said to know, where its teacher has no such limit
_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


@dataclass(frozen=True)
class Shape:
    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int


def gguf_types(hidden: int, intermediate: int) -> list[str]:
    """Of a Llama with these widths. K-quants and ternary take multiples of 256."""
    return [name for name, block in GGUF_BLOCKS.items() if hidden % block == intermediate % block == 0]


def config_of(teacher: Any, kind: str, shape: Shape, taken: list[int]) -> Any:
    """`taken`: the teacher's layer that each of the student's stands for."""
    given = teacher.config
    if kind == "llama":
        _check_blocks(shape)
    _check_heads(shape)
    try:
        if kind in ("same", _kind(given)):
            return _same(given, shape, taken)
        return _plain_titan(given, shape) if kind == "titan" else _llama(given, shape)
    except BadField as error:
        raise InvalidInput(
            str(error), reason="BAD_STUDENT", field=error.field, next_step=error.next_step
        ) from error


def _kind(config: Any) -> str:
    return "titan" if isinstance(config, TitanConfig) else str(config.model_type)


def _same(given: Any, shape: Shape, taken: list[int]) -> Any:
    config = copy.deepcopy(given)
    config.hidden_size, config.num_hidden_layers = shape.hidden, shape.layers
    config.num_attention_heads, config.intermediate_size = shape.heads, shape.intermediate
    config.vocab_size = shape.vocabulary
    if isinstance(config, TitanConfig):
        if config.memory:
            config.memory_layers = [new for new, old in enumerate(taken) if old in given.memory_layers]
            config.memory = bool(config.memory_layers)
        config.check()
        return config
    narrower = (shape.hidden, shape.heads) != (given.hidden_size, given.num_attention_heads)
    if narrower:
        shared = given.num_attention_heads // (given.num_key_value_heads or given.num_attention_heads)
        config.num_key_value_heads = shape.heads // shared if shape.heads % shared == 0 else shape.heads
        config.head_dim = shape.hidden // shape.heads
    if isinstance(getattr(given, "layer_types", None), list):
        config.layer_types = [given.layer_types[layer] for layer in taken]
    return config


def _plain_titan(given: Any, shape: Shape) -> TitanConfig:
    """Without all that a teacher of another architecture has no counterpart of."""
    return TitanConfig(
        **_common(given, shape), rope_theta=_theta(given), sliding_window=None, persistent_tokens=0, memory=False,
        memory_layers=[], act=False, act_steps_train=1, act_steps_infer=1, recursion=False, deep_supervision=0.0,
    )  # fmt: skip


def _llama(given: Any, shape: Shape) -> Any:
    from transformers import LlamaConfig

    positions = getattr(given, "max_position_embeddings", None) or _POSITIONS
    rope: Any = {"rope_type": "default", "rope_theta": _theta(given)}
    return LlamaConfig(
        **_common(given, shape), num_key_value_heads=shape.heads, max_position_embeddings=positions,
        rope_parameters=rope,
    )  # fmt: skip


def _common(given: Any, shape: Shape) -> dict[str, Any]:
    ids = {name: getattr(given, name, None) for name in _IDS}
    sizes = {
        "vocab_size": shape.vocabulary, "hidden_size": shape.hidden, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "intermediate_size": shape.intermediate,
    }  # fmt: skip
    return {**sizes, **ids, "rms_norm_eps": given.rms_norm_eps, "tie_word_embeddings": True}


def _theta(given: Any) -> float:
    if isinstance(given, TitanConfig):
        return given.rope_theta
    return float(given.rope_parameters["rope_theta"])


def _check_blocks(shape: Shape) -> None:
    for field, width in (("hidden", shape.hidden), ("intermediate", shape.intermediate)):
        if width % GGUF_BLOCKS["Q8_0"]:
            message = f"{field} is {width}, and the blocks of a Llama's GGUF files take multiples of 32"
            step = "Take a multiple of 256 for Q4_K_M, Q2_K and TQ2_0, of 32 for Q8_0 and Q4_0."
            raise InvalidInput(message, reason="BLOCK_MISFIT", field=field, next_step=step)


def _check_heads(shape: Shape) -> None:
    if shape.hidden % (2 * shape.heads):
        message = f"hidden {shape.hidden} is no multiple of twice its {shape.heads} heads (rotary pairs)"
        step = f"Take a multiple of {2 * shape.heads}, or fewer heads."
        raise InvalidInput(message, reason="BAD_STUDENT", field="hidden", next_step=step)
