"""Models made of a few bytes, without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def safetensors(**tensors: list[int]) -> bytes:
    """Float32 zeros of these shapes."""
    header, at = {}, 0
    for name, shape in tensors.items():
        size = 4
        for dimension in shape:
            size *= dimension
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    return raw_safetensors(header, bytes(at))


def raw_safetensors(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def model(place: Path, fill: str = "", **tensors: list[int]) -> Path:
    """A directory as save_pretrained writes it; `fill` makes its bytes others."""
    place.mkdir(parents=True)
    write_model(place, fill, **tensors)
    return place


def write_model(place: Path, fill: str = "", **tensors: list[int]) -> None:
    """Into a directory that is there."""
    config = {"architectures": ["PicoForCausalLM"], "model_type": "pico", "fill": fill}
    (place / "config.json").write_text(json.dumps(config))
    (place / "model.safetensors").write_bytes(safetensors(**(tensors or {"a": [2, 3], "b": [4]})))


def adapter(place: Path) -> Path:
    place.mkdir(parents=True)
    (place / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 1}))
    (place / "adapter_model.safetensors").write_bytes(safetensors(lora_A=[1, 3], lora_B=[2, 1]))
    return place
