"""An adapter as its files tell it: its kind, which layers it changes, and whether it is whole. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from agentforge.kit.errors import DataLoss, InvalidInput, NotFound
from agentforge.train.adapters import PREFIX, SETTINGS, WEIGHTS
from agentforge.train.directory import read_json

_KINDS = {  # tensor names end in these: (factor, of an embedding)
    "lora_A.weight": ("a", False), "lora_B.weight": ("b", False),
    "lora_embedding_A": ("a", True), "lora_embedding_B": ("b", True),
}  # fmt: skip
_MAGNITUDES = ("lora_magnitude_vector", "lora_magnitude_vector.weight")
_BITS = {  # safetensors' types: words of such a number, and the bits that are all set in inf and NaN
    "F64": ("<u8", 0x7FF0_0000_0000_0000), "F32": ("<u4", 0x7F80_0000),
    "F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80),
}  # fmt: skip


@dataclass(frozen=True)
class Factors:
    """Shapes of A and B of one layer: [rank, inputs] and [outputs, rank]."""

    a: list[int]
    b: list[int]
    embedding: bool

    @property
    def rank(self) -> int:
        return self.a[0]

    @property
    def parameters(self) -> int:
        return self.a[0] * self.a[1] + self.b[0] * self.b[1]


@dataclass(frozen=True)
class Adapter:
    directory: Path
    settings: Mapping[str, Any]
    layers: Mapping[str, Factors]  # by the base's name of the layer
    others: tuple[str, ...]  # tensors that are no factors

    @property
    def ranks(self) -> set[int]:
        """That PEFT may give a layer, by adapter_config.json."""
        return {self.settings["r"], *self.settings.get("rank_pattern", {}).values()}


def adapter_directory(path: Path) -> Path:
    """The directory that holds adapter_config.json: the one given, or the only one inside it."""
    if not path.is_dir():
        message = f"there is no directory {path}"
        step = "Give an adapter's directory."
        raise NotFound(message, reason="ADAPTER_NOT_FOUND", field=str(path), next_step=step)
    if (path / SETTINGS).is_file():
        return path
    inner = sorted(each.parent for each in path.glob(f"*/{SETTINGS}"))
    if len(inner) == 1:
        return inner[0]
    step = f"Give one of {', '.join(map(str, inner))}." if inner else "Give what PEFT's save_pretrained wrote."
    message = f"{path} holds no {SETTINGS}, so it is no adapter"
    raise InvalidInput(message, reason="NOT_AN_ADAPTER", field=str(path), next_step=step)


def read_adapter(path: Path) -> Adapter:
    directory = adapter_directory(path)
    settings = read_json(directory / SETTINGS)
    _check_lora(directory, settings)
    _check_rank(directory, settings)
    shapes = _shapes(directory)
    layers, others = _layers(directory, shapes)
    return Adapter(directory, settings, layers, others)


def first_not_finite(file: Path) -> str | None:
    """A tensor with infinity or NaN in it. Numbers are looked at where they lie: bfloat16 is none of numpy's."""
    for name, kind, raw in _tensors(file):
        if kind not in _BITS:
            message = f"{file}: {name} is of type {kind}; factors are floating-point numbers"
            raise InvalidInput(message, reason="NOT_LORA", field=name)
        words, exponent = _BITS[kind]
        if bool(((raw.view(words) & exponent) == exponent).any()):
            return name
    return None


def _tensors(file: Path) -> Iterator[tuple[str, str, np.ndarray[Any, np.dtype[np.uint8]]]]:
    """(name, type, bytes); the file's header was found sound before."""
    raw = np.memmap(file, np.uint8, "r")
    start = 8 + int.from_bytes(raw[:8].tobytes(), "little")
    header = json.loads(raw[8:start].tobytes())
    for name, told in header.items():
        if name != "__metadata__":
            begin, end = told["data_offsets"]
            yield name, told["dtype"], np.array(raw[start + begin : start + end])


def _check_lora(directory: Path, settings: Mapping[str, Any]) -> None:
    kind = settings.get("peft_type")
    if kind != "LORA":
        message = f"{directory} is an adapter of type {kind}; only LORA is merged here"
        step = "Merge it with PEFT itself (merge_and_unload), and give the model that comes out."
        raise InvalidInput(message, reason="NOT_LORA", field="peft_type", next_step=step)


def _check_rank(directory: Path, settings: Mapping[str, Any]) -> None:
    patterns = settings.get("rank_pattern", {})
    if not isinstance(patterns, dict):
        raise DataLoss(f"{directory}: rank_pattern is no object", reason="BROKEN_FILE", field="rank_pattern")
    for name, rank in {"r": settings.get("r"), **patterns}.items():
        if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
            message = f"{directory} has rank {json.dumps(rank)} ({name}): there is nothing in it to merge"
            step = "Train the adapter with a rank of 1 or more."
            raise InvalidInput(message, reason="RANK_ZERO", field=name, next_step=step)


def _shapes(directory: Path) -> dict[str, list[int]]:
    if (directory / WEIGHTS).is_file():
        return _header(directory / WEIGHTS)
    pickled = min((each for each in directory.iterdir() if each.suffix in (".bin", ".pt", ".pth")), default=None)
    if pickled is None:
        raise InvalidInput(f"{directory} holds no {WEIGHTS}", reason="NO_WEIGHTS", field=str(directory))
    message = f"{pickled} is a pickle, which could run code; only safetensors are loaded"
    step = "Save the adapter once more with a current PEFT: save_pretrained writes safetensors."
    raise InvalidInput(message, reason="PICKLE_REFUSED", field=str(pickled), next_step=step)


def _header(file: Path) -> dict[str, list[int]]:
    try:
        with safe_open(file, framework="np") as opened:
            return {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataLoss(f"{file} cannot be read: {error}", reason="BROKEN_FILE", field=str(file)) from error


def _layers(directory: Path, shapes: Mapping[str, list[int]]) -> tuple[dict[str, Factors], tuple[str, ...]]:
    found: dict[str, dict[str, list[int]]] = {}
    embeddings, others = set(), []
    for name, shape in shapes.items():
        ending = next((each for each in _KINDS if name.endswith(f".{each}")), None)
        if ending is None:
            others += [] if name.endswith(_MAGNITUDES) else [name]
            continue
        layer = name.removesuffix(f".{ending}").removeprefix(PREFIX)
        factor, embedding = _KINDS[ending]
        found.setdefault(layer, {})[factor] = shape
        embeddings |= {layer} if embedding else set()
    for layer, factors in found.items():
        _check_pair(directory, layer, factors)
    layers = {layer: Factors(each["a"], each["b"], layer in embeddings) for layer, each in found.items()}
    return layers, tuple(others)


def _check_pair(directory: Path, layer: str, factors: Mapping[str, list[int]]) -> None:
    a, b = factors.get("a"), factors.get("b")
    if a is None or b is None:
        message = f"{directory}: of {layer} there is only {'B' if a is None else 'A'}: the file is not whole"
        raise DataLoss(message, reason="WEIGHTS_INCOMPLETE", field=layer)
    if len(a) != 2 or len(b) != 2 or a[0] != b[1]:
        message = f"{directory}: A {a} and B {b} of {layer} are no matrices that can be multiplied"
        raise InvalidInput(message, reason="NOT_LORA", field=layer)
    if a[0] == 0:
        message = f"{directory} has rank 0 in {layer}: there is nothing in it to merge"
        raise InvalidInput(message, reason="RANK_ZERO", field=layer)
