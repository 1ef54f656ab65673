"""One model's weights as a file for each way, in a process of its own: `python -m ...files SHAPE FOLDER PART`.

Weights are random, those of the linear layers ternary, so that plain, packed and TQ2_0 files hold the same values.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from agentforge.data.codec import Codec
from agentforge.data.tokenizer import SMALLEST_VOCABULARY, train_tokenizer
from agentforge.kit.rng import Rng
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.models.gguf.tensors import Types
from agentforge.models.gguf.writer import write_gguf
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import ternary_layers
from agentforge.models.ternary.packed import save_packed
from agentforge.models.ternary.quantise import per_weight
from agentforge.phase4_bitnet.experiments.onnx_graph import save_onnx
from agentforge.phase4_bitnet.experiments.shapes import (
    ALL,
    LLAMA_CPP,
    ONNX_FILE,
    PACKED,
    PLAIN,
    SHAPES,
    Shape,
    gguf_file,
)


def main(name: str, folder: str, *parts: str) -> None:
    """`parts`: packed, plain or all; those that need a missing package are left out."""
    place, shape = Path(folder), SHAPES[name]
    model = random_model(shape)
    convert(model)
    if {PACKED, ALL} & {*parts}:
        save_packed(place / PACKED, model)
    if {PLAIN, ALL} & {*parts}:
        _round(model)
        model.save_pretrained(place / PLAIN)
    if ALL in parts and shape.kind == "llama":
        plain = LlamaForCausalLM.from_pretrained(place / PLAIN)
        if _here("gguf", "llama_cpp"):
            _llama_cpp(place, plain)
        if _here("onnx", "onnxruntime"):
            save_onnx(place / ONNX_FILE, plain)


def random_model(shape: Shape) -> Any:
    torch.manual_seed(Rng(42, "decode").seed)
    if shape.kind == "llama":
        return LlamaForCausalLM(LlamaConfig(**shape.fields))
    return TitanForCausalLM(TitanConfig(**shape.fields))


@torch.no_grad()
def _round(model: Any) -> None:
    """What the ternary layers compute with takes the place of their latents."""
    for layer in ternary_layers(model).values():
        layer.weight.copy_(layer.codes() * per_weight(layer.scales(), layer.in_features))


def _here(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) is not None for package in packages)


def _llama_cpp(place: Path, model: Any) -> None:
    """The others as llama.cpp's own quantiser makes them of F32: embedding and head are for it to choose."""
    import llama_cpp

    codec = Codec(train_tokenizer(["one two one two"], SMALLEST_VOCABULARY + 1))  # llama.cpp wants one merge
    full = write_gguf(gguf_file(place, "F32"), model, codec, Types(dense="F32", embeddings="F32"))
    for kind in LLAMA_CPP.values():
        if kind == "F32":
            continue
        wanted = llama_cpp.llama_model_quantize_default_params()
        wanted.ftype, wanted.nthread = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}"), torch.get_num_threads()
        failed = llama_cpp.llama_model_quantize(str(full).encode(), str(gguf_file(place, kind)).encode(), wanted)
        if failed:
            raise RuntimeError(f"llama.cpp made no {kind} of {full}")


if __name__ == "__main__":
    main(*sys.argv[1:])
