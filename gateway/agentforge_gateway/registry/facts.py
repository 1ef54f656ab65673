"""What a model's files say of it: sizes, tensors, numbers by type, architecture. Counted, never guessed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field

from agentforge.kit.digests import digest_json
from agentforge.kit.errors import InvalidInput
from agentforge_gateway.models import Model
from agentforge_gateway.registry.safetensors import FLOATING, Tensor, read_header

METHOD = "elements of floating-point tensors in the safetensors headers"
_MAX_CONFIG_BYTES = 4 << 20


class Facts(Model):
    """`parameters` is None where a model has no safetensors: other formats are not counted."""

    parameters: int | None = None
    tensors: int = 0
    numbers_by_type: dict[str, int] = Field(default_factory=dict)
    architecture: str = ""
    shapes_digest: str
    size_bytes: int
    files: int
    carries_code: bool = False


def facts_of(place: Path, kind: str) -> Facts:
    """Read config.json and all safetensors headers below a directory, or of a single file."""
    files = sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
    tensors: list[Tensor] = []
    for file in files:
        if file.suffix == ".safetensors":
            tensors += read_header(file)
    numbers: Counter[str] = Counter()
    for tensor in tensors:
        numbers[tensor.dtype] += tensor.numbers
    return Facts(
        parameters=sum(n for dtype, n in numbers.items() if dtype in FLOATING) if tensors else None,
        tensors=len(tensors),
        numbers_by_type=dict(sorted(numbers.items())),
        architecture=_architecture(read_json(place / "config.json") if place.is_dir() else None),
        shapes_digest=_shapes(kind, tensors),
        size_bytes=sum(file.stat().st_size for file in files),
        files=len(files),
        carries_code=any(file.suffix == ".py" for file in files),
    )


def read_json(path: Path) -> dict[str, Any] | None:
    """An object from a file of bounded size; None where there is no such file."""
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            raise ValueError(f"it has more than {_MAX_CONFIG_BYTES:,} bytes")
        value = json.loads(path.read_bytes())
        if not isinstance(value, dict):
            raise ValueError("it is no object")
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{path.name} is no JSON object: {str(error)[:200]}",
            reason="BAD_MODEL_CONFIG",
            field=path.name,
            next_step="Restore the file that was saved with the model.",
        ) from None
    return value


def _architecture(config: dict[str, Any] | None) -> str:
    named = (config or {}).get("architectures")
    return str(named[0])[:200] if isinstance(named, list) and named else ""


def _shapes(kind: str, tensors: Iterable[Tensor]) -> str:
    """Equal for two models that are built alike, whatever their weights and types."""
    return digest_json([kind, sorted([tensor.name, list(tensor.shape)] for tensor in tensors)])
