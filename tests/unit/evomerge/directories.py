"""Model directories of a few numbers, for the tests of streaming."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.unit.evomerge.tensors import normal

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 5,
    "tie_word_embeddings": True,
}


def weights(seed: int) -> dict[str, Tensor]:
    """Long enough for several pieces, a number without dimensions, an empty tensor, an integer buffer."""
    return {
        "embed.weight": normal(seed, 301, 301),
        "layer.bias": normal(seed + 100, 7),
        "scale": normal(seed + 200),
        "none": torch.empty(0, 3),
        "table": torch.arange(5),
    }


def save(directory: Path, tensors: Mapping[str, Tensor], **config: Any) -> Path:
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps({**CONFIG, **config}))
    save_file(dict(tensors), directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def save_sharded(directory: Path, tensors: Mapping[str, Tensor]) -> Path:
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(CONFIG))
    places = {}
    for number, (name, tensor) in enumerate(tensors.items()):
        file = f"model-{number}.safetensors"
        save_file({name: tensor}, directory / file)
        places[name] = file
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    return directory


def load(directory: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for file in sorted(directory.glob("*.safetensors")):
        found |= load_file(file)
    return found


def contents(directory: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in sorted(directory.iterdir())}
