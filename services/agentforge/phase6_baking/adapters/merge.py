"""Adapters merged into their base: a model that is loaded and used without PEFT. All arithmetic is PEFT's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from agentforge.kit.errors import DataLoss, FailedPrecondition, InvalidInput
from agentforge.kit.rng import Rng
from agentforge.models.ternary import record
from agentforge.models.ternary.linear import BitLinear, ternary_layers
from agentforge.phase6_baking.configs.adapters import AdaptersConfig
from agentforge.train.adapters import SETTINGS, WEIGHTS, peft_package
from agentforge.train.loading import LoadedModel

TOGETHER = "together"
_GENERATION = "generation_config.json"


def merged(model: Any, adapters: Sequence[Path], config: AdaptersConfig, seed: int) -> Any:
    """The model itself with the adapters in its weights, dtypes and ties as they were. In place."""
    wrapped = attached(model, adapters, config, seed)
    _check_not_ternary(wrapped)
    with _named_errors(adapters):
        found = wrapped.merge_and_unload()
    if hasattr(found, "peft_config"):
        del found.peft_config  # PEFT leaves it, and would warn of it at the next adapter
    broken = next((name for name, tensor in found.named_parameters() if not tensor.isfinite().all()), None)
    if broken is not None:
        raise DataLoss(f"merged, {broken} is not finite", reason="NOT_FINITE", field=broken)
    return found.requires_grad_(True).eval()


def attached(model: Any, adapters: Sequence[Path], config: AdaptersConfig, seed: int) -> Any:
    """PEFT's model with one adapter active, that of all together, not yet merged."""
    # PEFT finds an adapter's tensors by ".name" anywhere in theirs: a layer's number must not match, nor 1 in 10.
    names = [f"given_{place}_" for place in range(len(adapters))]
    with torch.random.fork_rng(), _named_errors(adapters):  # adapters begin at random numbers before they are read
        wrapped = _loaded(model, adapters, names)
        if len(adapters) > 1 or config.weights:
            _combine(wrapped, names, config, seed)
    return wrapped.eval()


def _loaded(model: Any, adapters: Sequence[Path], names: Sequence[str]) -> Any:
    peft: Any = peft_package()
    wrapped = peft.PeftModel.from_pretrained(model, str(adapters[0]), adapter_name=names[0])
    for name, adapter in zip(names[1:], adapters[1:], strict=True):
        wrapped.load_adapter(str(adapter), adapter_name=name)
    for name, adapter in zip(names, adapters, strict=True):
        _check_whole(wrapped, name, adapter)
    return wrapped


def _combine(wrapped: Any, names: list[str], config: AdaptersConfig, seed: int) -> None:
    torch.manual_seed(Rng(seed, "baking/adapters").seed)  # DARE drops by PyTorch's global generator
    weights, method = config.weights or [1.0] * len(names), config.method
    wrapped.add_weighted_adapter(names, weights, TOGETHER, combination_type=method, density=config.density)
    wrapped.set_adapter(TOGETHER)


def write(directory: Path, base: LoadedModel, model: Any) -> None:
    """A directory that stands alone. `model`: what was merged, of `base`."""
    record.save(directory, model) if ternary_layers(model) else model.save_pretrained(directory)
    base.tokenizer.save_pretrained(directory)
    if (base.directory / _GENERATION).is_file():  # loading puts it aside; it may name more ends of a text
        shutil.copyfile(base.directory / _GENERATION, directory / _GENERATION)


def _check_whole(wrapped: Any, name: str, adapter: Path) -> None:
    """PEFT only warns of tensors that are missing in the file, and begins those layers anew."""
    peft: Any = peft_package()
    expected = peft.get_peft_model_state_dict(wrapped, adapter_name=name, save_embedding_layers=False)
    with safe_open(adapter / WEIGHTS, framework="np") as opened:
        differing = sorted(expected.keys() ^ set(opened.keys()))
    if differing:
        message = f"{adapter / WEIGHTS} is not what {SETTINGS} says: they differ in {differing[0]}"
        raise DataLoss(message, reason="WEIGHTS_INCOMPLETE", field=differing[0])


def _check_not_ternary(wrapped: Any) -> None:
    for name, layer in wrapped.named_modules():
        if name.endswith(".base_layer") and isinstance(layer, BitLinear):
            message = f"{name.removesuffix('.base_layer')} is ternary: merged, it would be rounded once more"
            step = "Keep the adapter beside the model, or bake what it does by training the latents."
            raise FailedPrecondition(message, reason="TERNARY_MODEL", field=name, next_step=step)


@contextmanager
def _named_errors(adapters: Sequence[Path]) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        message = f"PEFT refuses {', '.join(map(str, adapters))}: {error}"
        raise InvalidInput(message, reason="ADAPTER_REFUSED", field=str(adapters[0])) from error
