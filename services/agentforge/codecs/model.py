"""A model in one file of compressed weights: `model.forge` (see container), beside its config.json.

Ternary layers are stored as they are, codes and scales: nothing rounds them a second time. All else goes by
the plan: a spec for each tensor that is to be compressed. What the plan does not name stays in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from agentforge.codecs.container import FILE, Forge, read
from agentforge.codecs.decode import decode
from agentforge.codecs.decode.ternary import parts
from agentforge.codecs.encode import encode
from agentforge.codecs.encode.ternary import of_codes
from agentforge.codecs.payload import Broken, Payload
from agentforge.codecs.spec import Spec
from agentforge.codecs.write import write
from agentforge.kit.errors import DataLoss, FailedPrecondition, ForgeError, InvalidInput, NotFound
from agentforge.kit.rng import Rng
from agentforge.models.ternary.linear import BitLinear, Mode
from agentforge.models.ternary.packed_linear import PackedLinear
from agentforge.models.ternary.unpacking import put_in, without_weights

Grams = Mapping[str, npt.NDArray[np.float64]]
_OWN = ("weight", "packed", "scale_AG")  # what a ternary layer's codes and scales stand for


def save_compressed(
    directory: Path, model: Any, plan: Mapping[str, Spec], *, grams: Grams | None = None, seed: int = 0,
    entropy: bool = True,
) -> Path:  # fmt: skip
    """Writes config.json, generation_config.json and the file; the tokenizer is the caller's. The model stays.

    `plan` and `grams` by the names of tensors, as in "model.embed_tokens.weight". Tied weights go by their first.
    """
    payloads = compressed(model, plan, grams=grams, seed=seed)
    directory.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(directory)
    model.generation_config.save_pretrained(directory)
    return write(directory / FILE, payloads, entropy=entropy)


def compressed(
    model: Any, plan: Mapping[str, Spec], *, grams: Grams | None = None, seed: int = 0
) -> dict[str, Payload]:
    """By tensor. What a search may keep: a tensor's payload depends on its spec, its gram and the seed alone."""
    layers, others = _ternary(model), plain_tensors(model)
    _check_plan(model, plan, set(others))
    found = {f"{name}.weight": _codes(layer) for name, layer in layers.items()}
    for name, tensor in others.items():
        spec = plan.get(name, Spec("float"))
        gram = (grams or {}).get(name)
        try:
            found[name] = encode(_array(tensor), spec, gram=gram, rng=Rng(seed, "codecs", name))
        except ForgeError as error:
            step = error.next_step
            raise type(error)(
                f"{name}: {error.message}", reason=error.reason, field=name, next_step=step
            ) from error
    return found


def plain_tensors(model: nn.Module) -> dict[str, Tensor]:
    """What a plan may name: parameters and saved buffers of no ternary layer, each once, by its first name."""
    ternary = {f"{name}.{own}" for name in _ternary(model) for own in _OWN}
    saved = model.state_dict().keys()
    every = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor.detach() for name, tensor in every if name in saved and name not in ternary}


def load_compressed(directory: Path) -> Any:
    """A Hugging Face model: ternary layers packed, all else in float32. Every bit of the file is checked."""
    forge = read_forge(directory)
    model = without_weights(directory)
    plain: dict[str, Tensor] = {}
    layers: dict[str, Payload] = {}
    while forge.payloads:  # each goes when it is decoded, so that nothing is held twice for long
        name, payload = forge.payloads.popitem()
        if payload.codec == "ternary" and "mode" in payload.settings:
            layers[name] = payload
        else:
            plain[name] = _decoded(directory, name, payload)
    for name, payload in layers.items():
        layer, _, own = name.rpartition(".")
        if own != "weight" or not isinstance(_module(model, layer), nn.Linear):
            raise _broken(directory, name, "it is of no linear layer of the model in config.json")
        model.set_submodule(layer, _layer(directory, name, payload, plain.get(f"{layer}.bias")))
    put_in(directory / FILE, model, plain)
    return model.eval()


def read_forge(directory: Path) -> Forge:
    file = directory / FILE
    if not file.is_file():
        raise NotFound(f"there is no {FILE} in {directory}", reason="MODEL_NOT_FOUND", field=str(file))
    try:
        return read(file)
    except Broken as error:
        raise _broken(directory, str(error).partition(":")[0], str(error)) from error


def _codes(layer: BitLinear | PackedLinear) -> Payload:
    mode = {name: value for name, value in asdict(layer.mode).items() if name != "strength"}
    return of_codes(layer.codes().cpu().numpy(), layer.scales().cpu().numpy(), mode)


def _layer(directory: Path, name: str, payload: Payload, bias: Tensor | None) -> PackedLinear:
    try:
        code_OI, scale_AG = parts(payload)
        mode = Mode(**payload.settings["mode"])
    except (Broken, TypeError, InvalidInput) as error:
        raise _broken(directory, name, str(error)) from error
    _check_finite(directory, name, scale_AG)
    return PackedLinear(torch.from_numpy(code_OI), torch.from_numpy(scale_AG), bias, mode)


def _decoded(directory: Path, name: str, payload: Payload) -> Tensor:
    try:
        found = decode(payload)
    except Broken as error:
        raise _broken(directory, name, str(error)) from error
    _check_finite(directory, name, found)
    return torch.from_numpy(np.require(found, requirements=["W"]))


def _ternary(model: nn.Module) -> dict[str, BitLinear | PackedLinear]:
    found = {n: layer for n, layer in model.named_modules() if isinstance(layer, BitLinear | PackedLinear)}
    for name, layer in found.items():
        if layer.mode.strength != 1:
            message = f"{name} is ternary at strength {layer.mode.strength}, and only 1 can be compressed"
            raise FailedPrecondition(message, reason="NOT_TERNARY", field=name, next_step="Finish the warm-up.")
    return found


def _check_plan(model: nn.Module, plan: Mapping[str, Spec], named: set[str]) -> None:
    ternary = {f"{name}.weight" for name in _ternary(model)}
    saved = model.state_dict().keys()
    for name in sorted(plan.keys() - named):
        message, step = f"the model has no tensor {name}", "Take names from the model's state dict."
        if name in ternary:
            message, step = f"{name} is ternary: it is stored as it is", "Leave it out of the plan."
        elif name in saved:
            message, step = f"{name} is stored under another name that it is tied to", "Plan for that name."
        raise InvalidInput(message, reason="BAD_PLAN", field=name, next_step=step)


def _array(tensor: Tensor) -> np.ndarray:
    wide = tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor
    if isinstance(tensor, nn.Parameter) and tensor.is_floating_point():
        wide = tensor.float()
    found: np.ndarray = wide.cpu().numpy()
    return found


def _module(model: nn.Module, name: str) -> nn.Module | None:
    try:
        return model.get_submodule(name)
    except AttributeError:
        return None


def _check_finite(directory: Path, name: str, values: np.ndarray) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataLoss(f"{directory / FILE}: {name} is not finite", reason="NOT_FINITE", field=name)


def _broken(directory: Path, field: str, message: str) -> DataLoss:
    step = "Copy or download the file once more."
    return DataLoss(f"{directory / FILE}: {message}", reason="BROKEN_FILE", field=field, next_step=step)
