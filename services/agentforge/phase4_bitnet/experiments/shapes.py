"""What is timed: shapes of models, how many tokens, and the ways to run them. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROMPT, TOKENS, CONTEXT = 128, 32, 160  # tokens: read at once, then one by one; the room for both
TURNS = 5

# Ways with a llama.cpp file, by the file's type.
LLAMA_CPP = {"llama.cpp F32": "F32", "llama.cpp Q4_0": "Q4_0", "llama.cpp TQ2_0": "TQ2_0"}
PLAIN, PACKED, ONNX_FILE = "plain", "packed", "model.onnx"  # in the folder of a shape's files
ALL = "all"  # of them
OURS, EAGER, COMPILED, ONNX = "ours", "PyTorch eager", "PyTorch compiled", "onnxruntime 4 bit"
LLAMA_WAYS = (OURS, EAGER, COMPILED, *LLAMA_CPP, ONNX)


@dataclass(frozen=True)
class Shape:
    """Tied embeddings. llama.cpp's TQ2_0 takes widths that are multiples of 256 alone."""

    kind: str  # llama or titan
    text: str
    ways: tuple[str, ...]
    fields: dict[str, Any] = field(default_factory=dict)


def _llama(text: str, hidden: int, layers: int, heads: int, intermediate: int) -> Shape:
    fields = {
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": heads, "intermediate_size": intermediate, "vocab_size": 8192,
        "max_position_embeddings": CONTEXT, "tie_word_embeddings": True,
    }  # fmt: skip
    return Shape("llama", text, LLAMA_WAYS, fields)


SHAPES = {
    "25m": _llama("Llama of 25 M", 512, 7, 8, 1280),
    "350m": _llama("Llama of 354 M", 1024, 24, 16, 3328),
    "titan": Shape("titan", "Titan of 25 M without memory", (OURS, EAGER), {"memory": False}),
    "titan-memory": Shape("titan", "Titan of 25 M", (OURS, EAGER)),
}


def gguf_file(folder: Path, kind: str) -> Path:
    return folder / f"{kind}.gguf"
