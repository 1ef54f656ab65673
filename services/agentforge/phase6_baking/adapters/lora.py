"""A fresh LoRA adapter beside a model, ours or any other: trained, saved and taken off. The base stays as it is.

Around a ternary layer it adds its full-precision product to the ternary one, as around any linear layer.
The model keeps its class, so that whatever trains, asks or generates needs to know nothing of it. Loading it back:
train.adapters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import FailedPrecondition, InvalidInput
from agentforge.kit.rng import Rng
from agentforge.models.ternary import record
from agentforge.models.ternary.convert import projections
from agentforge.models.ternary.linear import ternary_layers
from agentforge.models.ternary.packed_linear import PackedLinear
from agentforge.phase6_baking.configs.adapters import LoraConfig
from agentforge.train.adapters import (
    BASE,
    NAME,
    PREFIX,
    SETTINGS,
    WEIGHTS,
    base_digest,
    inject,
    peft_package,
)
from agentforge.train.directory import ADAPTER
from agentforge.train.state import save_tensors

_EVERY = "all-linear"  # PEFT's name for all linear layers but the head
_READ_DIRECTLY = ("gates", "direct")  # of a Titan: layers whose weights are used without calling them


def attach(model: Any, config: LoraConfig, seed: int) -> Any:
    """In place: the adapter does nothing yet (B is 0), and nothing else of the model is trained from now on."""
    if wrapped_layers(model):
        raise FailedPrecondition("the model has an adapter already", reason="HAS_ADAPTER", field="adapter")
    settings = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": config.rank, "lora_alpha": config.alpha,
        "lora_dropout": config.dropout, "target_modules": _targets(model, config),
    }  # fmt: skip
    inject(model, settings, Rng(seed, "baking/lora").seed)
    return model


def wrapped_layers(model: nn.Module) -> dict[str, Any]:
    """Layers with an adapter around them, by the name that they have without it."""
    layer: Any = peft_package().tuners.lora.LoraLayer
    return {name: module for name, module in model.named_modules() if isinstance(module, layer)}


@contextmanager
def without(model: Any) -> Iterator[None]:
    """Meanwhile the model is its base: same names, same tensors, no trace of an adapter."""
    layers, settings = wrapped_layers(model), model.peft_config
    del model.peft_config
    for name, layer in layers.items():
        model.set_submodule(name, layer.get_base_layer())
    try:
        yield
    finally:
        for name, layer in layers.items():
            model.set_submodule(name, layer)
        model.peft_config = settings


def save(directory: Path, model: Any) -> None:
    """The base as any model is saved, and adapter/ in it. Whoever loads that plainly has the base alone."""
    with without(model):
        record.save(directory, model) if ternary_layers(model) else model.save_pretrained(directory)
    save_adapter(directory / ADAPTER, model, directory)


def save_adapter(adapter: Path, model: Any, base: Path) -> None:
    """A PEFT directory. `base`: where the model's own weights are saved, whose digest is kept with it."""
    peft: Any = peft_package()
    adapter.mkdir()
    tensors = peft.get_peft_model_state_dict(model, adapter_name=NAME, save_embedding_layers=False)
    save_tensors(adapter / WEIGHTS, {PREFIX + name: tensor for name, tensor in tensors.items()})
    settings = {**model.peft_config[NAME].to_dict(), "inference_mode": True}
    plain = {name: sorted(value) if isinstance(value, set) else value for name, value in settings.items()}
    (adapter / SETTINGS).write_text(json.dumps(plain, indent=2, sort_keys=True))
    (adapter / BASE).write_bytes(canonical_json({"weights": base_digest(base)}))


def _targets(model: nn.Module, config: LoraConfig) -> list[str] | str:
    packed = next((name for name, layer in model.named_modules() if isinstance(layer, PackedLinear)), None)
    if packed is not None:
        message = f"{packed} is packed, and an adapter cannot stand beside packed layers"
        raise FailedPrecondition(message, reason="PACKED_MODEL", field=packed)
    if not config.targets:
        return projections(model) or _EVERY
    linears = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    for target in config.targets:
        if not any(f".{name}".endswith(f".{target}") for name in linears):
            step = f"There are {', '.join(sorted({name.rpartition('.')[2] for name in linears}))}."
            message = f"no linear layer of the model is called {target!r}"
            raise InvalidInput(message, reason="UNKNOWN_LAYER", field="targets", next_step=step)
        if target.rpartition(".")[2] in _READ_DIRECTLY:
            message = f"the weights of {target} are read without calling the layer: an adapter would do nothing"
            raise InvalidInput(message, reason="UNSUPPORTED_LAYER", field="targets")
    return list(config.targets)
