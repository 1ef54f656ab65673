"""One GGUF file of a Llama with its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agentforge.data.codec import Codec
from agentforge.models.gguf.fits import check_architecture
from agentforge.models.gguf.tensors import (
    Types,
    check_weights,
    encoded,
    file_names,
    in_file_order,
    ternary_layers,
    weights,
)
from agentforge.models.gguf.tools import tool
from agentforge.models.gguf.vocabulary import vocabulary

ROPE_FACTORS = "rope_freqs.weight"


def write_gguf(file: Path, model: Any, codec: Codec, types: Types | None = None) -> Path:
    """The model stays as it is. The same model gives the same bytes."""
    types, gguf = types or Types(), tool("gguf")
    check_architecture(model.config.to_dict())
    check_weights(model, types)
    writer = gguf.GGUFWriter(file, "llama")
    try:
        _hyperparameters(writer, model, types)
        _tokenizer(writer, codec, model.config.vocab_size)
        _tensors(writer, model, types)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    return file


def _hyperparameters(writer: Any, model: Any, types: Types) -> None:
    gguf, config = tool("gguf"), model.config
    main = types.ternary if ternary_layers(model) else types.dense
    named = "ALL_F32" if main == "F32" else f"MOSTLY_{main}"
    writer.add_type("model")
    writer.add_file_type(gguf.LlamaFileType[named])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])


def _tokenizer(writer: Any, codec: Codec, size: int) -> None:
    """`size`: of the embedding, which may have rows that no token has."""
    kinds, found = tool("gguf").TokenType, vocabulary(codec.tokenizer.backend_tokenizer)
    tokens, types = [], []
    for number in range(size):
        token = found.tokens[number] if number < len(found.tokens) else None
        kind = kinds.CONTROL if number in found.special else kinds.NORMAL
        kind = kinds.USER_DEFINED if number in found.added else kind
        tokens.append(f"[unused {number}]" if token is None else token)
        types.append(kinds.UNUSED if token is None else kind)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(found.pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(found.merges)
    writer.add_eos_token_id(codec.eos)
    writer.add_pad_token_id(codec.pad)
    if codec.tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(codec.tokenizer.bos_token_id)
    writer.add_add_bos_token(bool(codec.lead))
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    if isinstance(codec.tokenizer.chat_template, str):
        writer.add_chat_template(codec.tokenizer.chat_template)


def _tensors(writer: Any, model: Any, types: Types) -> None:
    kinds, named = tool("gguf").GGMLQuantizationType, file_names(model.config.num_hidden_layers)
    for weight in weights(model, types):
        array = encoded(in_file_order(weight, model.config))
        writer.add_tensor(named(weight.name), array, raw_dtype=kinds[weight.kind])
    factors = _rope_factors(model)
    if bool((factors != 1).any()):
        writer.add_tensor(ROPE_FACTORS, factors.numpy(), raw_dtype=kinds.F32)


def _rope_factors(model: Any) -> Tensor:
    """By how much each frequency is slower than those of theta alone; [half of a head], 1 where it is not."""
    theta, width = model.config.rope_parameters["rope_theta"], model.config.head_dim
    plain = 1.0 / theta ** (torch.arange(0, width, 2, dtype=torch.int64).float() / width)
    factors: Tensor = plain / model.model.rotary_emb.inv_freq.float().cpu()
    return factors
