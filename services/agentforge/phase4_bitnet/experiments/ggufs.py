"""Random Llamas, their files of every type, and files that are wrong in one place."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.splits import Split
from agentforge.data.tokenizer import train_tokenizer
from agentforge.kit.rng import Rng
from agentforge.models.gguf.fits import Dense
from agentforge.models.gguf.parity import SAMPLES, check_parity
from agentforge.models.gguf.tensors import Types, pairs_together
from agentforge.models.gguf.writer import write_gguf
from agentforge.models.ternary.convert import convert

VOCABULARY = 4_096
_SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 512, "intermediate_size": 1_536, "num_hidden_layers": 7,
    "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 512, "tie_word_embeddings": True,
}  # fmt: skip
_DENSE: tuple[Dense, ...] = ("F32", "F16", "Q8_0")


def measured(seed: int) -> dict[str, Any]:
    plain, codec = _llama(seed), _codec(seed)
    ternary = copy.deepcopy(plain)
    convert(ternary)
    prompts = [*SAMPLES[:6], *_items(seed, 6)]
    files: dict[str, Any] = {}
    with TemporaryDirectory(prefix="af-gguf-") as place:
        file = Path(place) / "it.gguf"
        for kind in _DENSE:
            files[kind] = _one(file, plain, codec, prompts, Types(kind, embeddings=kind))
        files["TQ2_0"] = _one(file, ternary, codec, prompts, Types("F16", "TQ2_0"))
        files["TQ1_0"] = _one(file, ternary, codec, prompts, Types("F16", "TQ1_0"))
        broken = {}
        for name, wrong in _broken(ternary):
            write_gguf(file, wrong, codec)
            broken[name] = check_parity(file, ternary, codec, prompts).content.relative
    return {"parameters": plain.num_parameters(), "files": files, "broken": broken}


def _one(file: Path, model: Any, codec: Codec, prompts: list[str], types: Types) -> dict[str, Any]:
    write_gguf(file, model, codec, types)
    return {"size": file.stat().st_size, "parity": asdict(check_parity(file, model, codec, prompts))}


def _broken(model: Any) -> Iterator[tuple[str, Any]]:
    """Models whose right file is a wrong one of `model`."""
    layer = "model.layers.3"
    unpaired = copy.deepcopy(model)
    k_proj = unpaired.get_submodule(f"{layer}.self_attn.k_proj")
    k_proj.weight.data = pairs_together(k_proj.weight.data, model.config.num_key_value_heads)
    yield "unpaired", unpaired
    halved = copy.deepcopy(model)
    halved.get_submodule(f"{layer}.mlp.up_proj").weight.data *= 0.5
    yield "halved", halved
    turned = copy.deepcopy(model)
    turned.config.rope_parameters["rope_theta"] = 500_000.0
    turned.model.rotary_emb = type(turned.model.rotary_emb)(turned.config)
    yield "theta", turned


@torch.no_grad()
def _llama(seed: int) -> Any:
    """Each matrix keeps the size of what goes through it; norms lie about 1."""
    model: Any = LlamaForCausalLM(LlamaConfig(**_SHAPE))
    for name, parameter in sorted(model.named_parameters()):
        drawn = torch.randn(parameter.shape, generator=Rng(seed, "bitnet/gguf/weights", name).torch())
        parameter.copy_(1 + 0.2 * drawn if parameter.ndim == 1 else drawn * parameter.shape[1] ** -0.5)
    return model.eval()


def _codec(seed: int) -> Codec:
    """Texts of the families, and words drawn at random, so that there is enough to merge."""
    draw = Rng(seed, "bitnet/gguf/words").python()
    letters = "etaoinshrdlucmfwypvbgkqjxz"
    words = ["".join(draw.choices(letters, range(26, 0, -1), k=draw.randint(2, 7))) for _ in range(3_000)]
    lines = (" ".join(draw.choices(words, k=20)) for _ in range(3_000))
    return Codec(train_tokenizer([*lines, *_items(seed, 200), *SAMPLES], VOCABULARY))


def _items(seed: int, count: int) -> list[str]:
    streams = [ItemStream(name, Split.TRAIN, seed, [2]) for name in ("arithmetic", "recall", "nested")]
    items = [stream.item(0, number) for number in range(count // 3) for stream in streams]
    return [item.prefix + item.prompt + item.completion for item in items]
