"""artifacts.json: every file of every format, what it holds, what checked it, and how it answered."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from agentforge.kit.digests import digest_file
from agentforge.phase8_compression.formats.face import Made

FORMAT = 1
_CHECKED_WITH: Mapping[str, tuple[str, ...]] = {
    "compressed": ("torch", "transformers", "numpy"),
    "huggingface": ("torch", "transformers", "safetensors"),
    "pytorch": ("torch", "transformers"),
    "onnx": ("onnx", "onnxruntime"),
    "tensorrt": ("onnx", "onnxruntime"),
    "gguf": ("gguf", "llama_cpp_python"),
    "mobile_tflite": ("litert-torch", "ai-edge-litert"),
    "mobile_pte": ("executorch", "torch"),
    "runner": ("numpy",),
}


def manifest(
    directory: Path, made: Mapping[str, Made], same: Mapping[str, Mapping[str, float]], absent: Mapping[str, str],
    *, parameters: int,
) -> dict[str, Any]:  # fmt: skip
    """`directory` holds a folder for each format. `same`: by format and file, the share of answers that are
    PyTorch's; a file without one is read by no runtime. `absent`: formats that were not made, and why."""
    return {
        "format": FORMAT,
        "parameters": parameters,
        "artifacts": [
            each for name in sorted(made) for each in _files(directory / name, name, made[name], same[name])
        ],
        "formats": {name: _told(name, one) for name, one in made.items()},
        "not_made": dict(absent),
    }


def _files(place: Path, name: str, made: Made, same: Mapping[str, float]) -> list[dict[str, Any]]:
    found = []
    for file in sorted(made.files):
        path = place / file
        entry = {
            "format": name,
            "file": f"{name}/{file}",
            "bytes": path.stat().st_size,
            "sha256": digest_file(path),
        }
        if file in made.runs:
            entry |= {"lossless": made.runs[file], "same_answers": same[file]}
        found.append(entry)
    return found


def _told(name: str, made: Made) -> dict[str, Any]:
    versions = {package: found for package in _CHECKED_WITH[name] if (found := _version(package))}
    return {"checked_with": {"python": platform.python_version(), **versions}, "told": made.told}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
