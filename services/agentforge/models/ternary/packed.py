"""A model in one file of packed ternary weights: `packed.safetensors`, beside its config.json.

    W.codes   uint8, W the name of a ternary weight: `pack_2bit` or `pack_base3` of its codes (see trits)
    W.scales  [A, G]: weight = code * scale, a scale for the matrix, a row, or a group of a row. float16 where that
              is exact for all of W's, as it is for those that the quantiser finds; else float32
    E.codes, E.scales   embeddings and head in 8 or 4 bits (see tables)
    all else  as it is, in 32 or 16 bits

The header's metadata has `layout` alone: a SHA-256, a space, and JSON of that digest, which says what is where and
has a digest of each tensor. So no bit of the file can change unseen. This holds for every version of the layout.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import DataLoss, FailedPrecondition, InvalidInput, NotFound
from agentforge.kit.files import write_atomic
from agentforge.models.ternary.linear import BitLinear, ternary_layers
from agentforge.models.ternary.packed_linear import PackedLinear
from agentforge.models.ternary.record import digest
from agentforge.models.ternary.tables import quantise_table
from agentforge.models.ternary.trits import pack_2bit, pack_base3

FILE = "packed.safetensors"
VERSION = 1


@dataclass(frozen=True)
class Bits:
    """A weight's bits in the file, by what it belongs to. What is unpacked does not depend on `linears`.

    `rest` is what is neither a ternary weight nor in a table: norms, gates, biases. Scales follow none of these.
    """

    linears: Literal["2", "1.6"] = "2"
    embeddings: Literal[32, 8, 4] = 8
    rest: Literal[32, 16] = 32


@dataclass(frozen=True)
class Opened:
    layout: dict[str, Any]
    tensors: dict[str, Tensor]


def save_packed(directory: Path, model: Any, bits: Bits | None = None) -> Path:
    """The model itself stays as it is."""
    bits = bits or Bits()
    tensors: dict[str, Tensor] = {}
    layout: dict[str, Any] = {"version": VERSION, "linears": {}, "tables": {}}
    for name, layer in sorted(_packable(model).items()):
        tensors |= _linear(f"{name}.weight", layer, bits)
        shape = [layer.out_features, layer.in_features]
        layout["linears"][name] = asdict(layer.mode) | {"shape": shape, "bits": bits.linears}
    tables = _tables(model) if bits.embeddings != 32 else set()
    for name, tensor in sorted(_others(model).items()):
        if name in tables:
            tensors[f"{name}.codes"], tensors[f"{name}.scales"] = quantise_table(tensor, bits.embeddings)
            layout["tables"][name] = {"shape": list(tensor.shape), "bits": bits.embeddings}
        else:
            tensors[name] = tensor.half() if bits.rest == 16 and tensor.is_floating_point() else tensor
    _check_finite(tensors)
    layout["digests"] = {name: digest(tensor) for name, tensor in tensors.items()}
    text = canonical_json(layout).decode()
    metadata = {"layout": f"{_sha256(text)} {text}"}  # no second one: safetensors writes them in any order
    directory.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(directory)
    model.generation_config.save_pretrained(directory)
    write_atomic(directory / FILE, to_bytes({n: t.cpu().contiguous() for n, t in tensors.items()}, metadata))
    return directory / FILE


def open_packed(directory: Path) -> Opened:
    """What the file holds, every bit of it checked."""
    file = directory / FILE
    if not file.is_file():
        raise NotFound(f"there is no {FILE} in {directory}", reason="MODEL_NOT_FOUND", field=str(file))
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # it is no dict
    except (SafetensorError, OSError, RuntimeError, ValueError, TypeError) as error:
        raise _broken(file, "header", f"it is cut, or its header is damaged: {error}") from error
    expected, _, text = metadata.get("layout", "").partition(" ")
    if metadata.keys() != {"layout"} or expected != _sha256(text):
        raise _broken(file, "layout", "the layout in its header is not what was written")
    layout = json.loads(text)
    if layout["version"] != VERSION:
        message = f"{file} has layout {layout['version']}; this program knows {VERSION}"
        step = "Read it with the version of agentforge that wrote it."
        raise FailedPrecondition(message, reason="LAYOUT_VERSION", field="version", next_step=step)
    _check_digests(file, layout["digests"], tensors)
    return Opened(layout, tensors)


def _check_digests(file: Path, digests: dict[str, str], tensors: dict[str, Tensor]) -> None:
    for name, expected in sorted(digests.items()):
        if name not in tensors:
            raise _broken(file, name, f"tensor {name!r} is missing")
        if digest(tensors[name]) != expected:
            raise _broken(file, name, f"tensor {name!r} is not what was written")
    for name in sorted(tensors.keys() - digests.keys()):
        raise _broken(file, name, f"tensor {name!r} is in the file, and in its layout it is not")


def _packable(model: nn.Module) -> dict[str, BitLinear | PackedLinear]:
    packed = {name: layer for name, layer in model.named_modules() if isinstance(layer, PackedLinear)}
    found: dict[str, BitLinear | PackedLinear] = ternary_layers(model) | packed
    if not found:
        step = "Make its layers ternary first."
        raise FailedPrecondition("the model has no ternary layer", reason="NOT_TERNARY", next_step=step)
    for name, layer in found.items():
        if layer.mode.strength != 1:
            message = f"{name} is ternary at strength {layer.mode.strength}, and only 1 can be packed"
            raise FailedPrecondition(message, reason="NOT_TERNARY", field=name, next_step="Finish the warm-up.")
    return found


def _linear(name: str, layer: BitLinear | PackedLinear, bits: Bits) -> dict[str, Tensor]:
    pack = pack_2bit if bits.linears == "2" else pack_base3
    return {f"{name}.codes": pack(layer.codes()), f"{name}.scales": _narrow(layer.scales())}


def _narrow(scale_AG: Tensor) -> Tensor:
    half_AG = scale_AG.half()
    return half_AG if torch.equal(half_AG.float(), scale_AG) else scale_AG


def _others(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and saved buffers that no ternary layer packs, each once however many names it has."""
    packed = {f"{name}.{own}" for name in _packable(model) for own in ("weight", "packed", "scale_AG")}
    saved = model.state_dict().keys()
    every = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor.detach() for name, tensor in every if name in saved and name not in packed}


def _tables(model: Any) -> set[str]:
    both = (model.get_input_embeddings(), model.get_output_embeddings())
    weights = {id(module.weight) for module in both if module is not None}
    return {name for name, parameter in model.named_parameters() if id(parameter) in weights}


def _check_finite(tensors: dict[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            message = f"{name} is not finite, in the bits that it would be packed in"
            raise InvalidInput(message, reason="NOT_FINITE", field=name)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _broken(file: Path, field: str, message: str) -> DataLoss:
    step = "Copy or download the file once more."
    return DataLoss(f"{file}: {message}", reason="BROKEN_FILE", field=field, next_step=step)
