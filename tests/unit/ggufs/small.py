"""Llamas whose widths fit llama.cpp's blocks, with a tokenizer that has merges; the tools that tests may lack."""

from __future__ import annotations

import functools
import importlib.util
from typing import TYPE_CHECKING, Any

import pytest

from tests import pico

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from agentforge.data.codec import Codec


def _lacks(package: str, extra: str) -> pytest.MarkDecorator:
    absent = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(absent, reason=f"needs the extra {extra!r}: pip install 'agentforge[{extra}]'")


needs_gguf = _lacks("gguf", "gguf")
needs_llama = _lacks("llama_cpp", "llama")

TEXT = (
    "the quick  brown fox   jumps over  12 lazy   3 dogs. I'm sure they'll say it's yes!\n\nQ: 1 + 2 = A: 3 é я\n"
)
VOCABULARY = 310
PROMPTS = ["Q: 1 + 2 = A: 3", "the quick  brown fox jumps over 345 dogs", "я <|user|>yes"]


@functools.cache
def tokenizer() -> PreTrainedTokenizerFast:
    from agentforge.data.tokenizer import train_tokenizer

    return train_tokenizer([TEXT] * 3, VOCABULARY)


def codec() -> Codec:
    from agentforge.data.codec import Codec

    return Codec(tokenizer())


def llama(seed: int = 0, **fields: Any) -> Any:
    """With grouped heads, biases, and weights large enough that every part of it tells in the logits."""
    shape = {
        "vocab_size": VOCABULARY, "hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4,
        "num_key_value_heads": 2, "attention_bias": True, "mlp_bias": True, "initializer_range": 0.06,
    }  # fmt: skip
    import torch

    model = pico.with_noise(pico.llama(seed, **{**shape, **fields}), seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += torch.randn(parameter.shape, generator=generator) * 0.2
    return model
