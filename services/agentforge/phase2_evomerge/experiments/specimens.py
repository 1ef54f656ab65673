"""Models to measure merging on: `python -m …experiments.specimens full|large DIRECTORY` makes them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from agentforge.kit.rng import Rng
from agentforge.phase2_evomerge.streaming.shards import FLOATS
from agentforge.phase2_evomerge.streaming.writing import Planned, WeightFiles

_NAMES = ("base", "a", "b", "c")
_NAME = "evomerge/specimens"


def full(place: Path) -> int:
    """Titans of the full preset: random weights, and three that went a little way from them."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    from agentforge.models import TitanConfig, TitanForCausalLM

    config = TitanConfig.preset("full")
    torch.manual_seed(Rng(42, _NAME).seed)
    model = TitanForCausalLM(config)
    vocabulary = {f"t{number}": number for number in range(config.vocab_size)}
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    )
    trunk = [each.detach().clone() for each in model.parameters()]
    for number, name in enumerate(_NAMES):
        generator = Rng(42, _NAME, name).torch()
        for parameter, start in zip(model.parameters(), trunk, strict=True):
            noise = torch.randn(start.shape, generator=generator)
            parameter.data.copy_(start + (0.01 if number else 0.0) * noise)
        model.save_pretrained(place / name)
        tokenizer.save_pretrained(place / name)
    return sum(each.numel() for each in trunk)


def large(place: Path, shard_bytes: int = 1_000_000_000) -> int:
    """In the shapes of a Llama of 1.5 B, bf16, in shards."""
    planned = list(_shapes())
    (code,) = (code for code, name in FLOATS.items() if name == "bfloat16")
    for name in _NAMES[1:]:
        (place / name).mkdir()
        config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 32_000}
        (place / name / "config.json").write_text(json.dumps(config))
        files = WeightFiles(place / name, [Planned(each, code, shape) for each, shape in planned], shard_bytes)
        generator = Rng(42, _NAME, name).torch()
        for each, shape in planned:
            files.write(each, torch.empty(shape, dtype=torch.bfloat16).uniform_(-0.02, 0.02, generator=generator))
        files.close()
    return sum(torch.Size(shape).numel() for _, shape in planned)


def _shapes(
    layers: int = 27, size: int = 2048, inner: int = 5632, vocabulary: int = 32_000
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.embed_tokens.weight", (vocabulary, size)
    for layer in range(layers):
        for name in ("q", "k", "v", "o"):
            yield f"model.layers.{layer}.self_attn.{name}_proj.weight", (size, size)
        yield f"model.layers.{layer}.mlp.gate_proj.weight", (inner, size)
        yield f"model.layers.{layer}.mlp.up_proj.weight", (inner, size)
        yield f"model.layers.{layer}.mlp.down_proj.weight", (size, inner)
        yield f"model.layers.{layer}.input_layernorm.weight", (size,)
        yield f"model.layers.{layer}.post_attention_layernorm.weight", (size,)
    yield "model.norm.weight", (size,)
    yield "lm_head.weight", (vocabulary, size)


if __name__ == "__main__":
    where = Path(sys.argv[2])
    parameters = {"full": full, "large": large}[sys.argv[1]](where)
    print(json.dumps({"parameters": parameters, "shards": len(list((where / "a").glob("*.safetensors")))}))  # noqa: T201
