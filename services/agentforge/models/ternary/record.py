"""ternary.json beside a saved model: how each layer is ternary. The weights file has latents, by plain names."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from agentforge.kit.errors import DataLoss, FailedPrecondition, InvalidInput
from agentforge.kit.files import write_atomic
from agentforge.models import TitanForCausalLM  # noqa: F401  # registers it with the Auto classes
from agentforge.models.ternary.convert import check_groups, swap
from agentforge.models.ternary.linear import BitLinear, Mode, ternary_layers

FILE = "ternary.json"
VERSION = 1


def digest(*tensors: Tensor) -> str:
    """Of types, shapes and values."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(f"{tensor.dtype}{list(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def save(directory: Path, model: Any) -> None:
    model.save_pretrained(directory)
    record(directory, model)


def record(directory: Path, model: nn.Module) -> None:
    layers = {
        name: asdict(layer.mode) | {"digest": digest(layer.codes(), layer.scales())}
        for name, layer in ternary_layers(model).items()
    }
    text = json.dumps({"version": VERSION, "layers": layers}, indent=1, sort_keys=True, allow_nan=False)
    write_atomic(directory / FILE, text.encode() + b"\n")


def load(directory: Path) -> Any:
    """The model with its ternary layers. What a directory without ternary.json holds is not ternary."""
    loader: Any = AutoModelForCausalLM
    model = loader.from_pretrained(directory, local_files_only=True, use_safetensors=True)
    restore(directory, model)
    return model.eval()


def restore(directory: Path, model: nn.Module) -> list[str]:
    """Make the layers of a plainly loaded model ternary as they were, checked by the codes that come out."""
    recorded = _read(directory / FILE)
    for name, entry in recorded.items():
        layer = dict(model.named_modules()).get(name)
        if not isinstance(layer, nn.Linear) or isinstance(layer, BitLinear):
            raise _broken(directory / FILE, f"{name} is no plain linear layer of this model", name)
        expected = entry.pop("digest", None)
        mode = _mode(directory / FILE, name, entry)
        check_groups({name: layer}, mode)
        swap(model, name, layer, mode)
        made = model.get_submodule(name)
        assert isinstance(made, BitLinear)
        if digest(made.codes(), made.scales()) != expected:
            raise _broken(directory / FILE, f"the weights of {name} do not give the codes that were recorded", name)
    return list(recorded)


def _mode(file: Path, name: str, entry: dict[str, Any]) -> Mode:
    try:
        return Mode(**entry)
    except (TypeError, InvalidInput) as error:
        raise _broken(file, f"{name} is described wrongly: {error}", name) from error


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(file.read_bytes())
        version, layers = found["version"], found["layers"]
        entries = {name: dict(entry) for name, entry in layers.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _broken(file, f"it cannot be read: {error}", str(file)) from error
    if version != VERSION:
        message = f"{file} is of version {version}; this program knows {VERSION}"
        raise FailedPrecondition(message, reason="LAYOUT_VERSION", field=str(file))
    return entries


def _broken(file: Path, message: str, field: str) -> DataLoss:
    return DataLoss(f"{file}: {message}", reason="BROKEN_FILE", field=field)
