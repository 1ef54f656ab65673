"""A LoRA adapter that lies beside a model, in adapter/: loaded into it, so that it computes with both.

Free of torch until a model is there. PEFT is needed for such models alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentforge.kit.digests import digest_file, digest_json
from agentforge.kit.errors import DataLoss, FailedPrecondition, InvalidInput, MissingTool
from agentforge.train.directory import ADAPTER, is_packed, read_json

SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"  # as PEFT names them
BASE = "base.json"  # beside them: the weights that the adapter was trained on
PREFIX = "base_model.model."  # PEFT's, before the name that the base has for a layer
NAME = "default"  # of the adapter in the model, PEFT's own


def has_adapter(directory: Path) -> bool:
    return (directory / ADAPTER / SETTINGS).is_file()


def base_digest(directory: Path) -> str:
    """Of a model's weights, as its files hold them."""
    return digest_json({file.name: digest_file(file) for file in sorted(directory.glob("*.safetensors"))})


def recorded_base(adapter: Path) -> str | None:
    """The digest of the base that an adapter of ours was trained on."""
    file = adapter / BASE
    found = read_json(file).get("weights") if file.is_file() else None
    return found if isinstance(found, str) else None


def check_base(adapter: Path, directory: Path) -> None:
    """Where it was recorded: adapters that others have made say no more than a name."""
    recorded = recorded_base(adapter)
    if recorded is not None and recorded != base_digest(directory):
        message = f"{adapter} was trained beside other weights than those of {directory}"
        step = "Give the model that it was trained beside."
        raise InvalidInput(message, reason="WRONG_BASE", field=str(adapter), next_step=step)


def put_beside(directory: Path, model: Any) -> None:
    """The adapter in `directory`/adapter, into the model that was loaded from `directory`. In place."""
    adapter = directory / ADAPTER
    if is_packed(directory):
        message = f"{directory} is packed, and an adapter cannot stand beside packed layers"
        raise FailedPrecondition(message, reason="PACKED_MODEL", field=str(adapter))
    if recorded_base(adapter) is None:
        message = f"{adapter} has no {BASE} that says what it was trained beside"
        step = "Give it to the phase baking, as an adapter: it is checked there."
        raise InvalidInput(message, reason="UNKNOWN_BASE", field=str(adapter), next_step=step)
    check_base(adapter, directory)
    fit(model, adapter)


def fit(model: Any, adapter: Path) -> None:
    """An adapter that was found to be this model's. In place."""
    inject(model, read_json(adapter / SETTINGS))
    fill(model, adapter / WEIGHTS)
    model.eval()


def inject(model: Any, settings: Mapping[str, Any], seed: int = 0) -> None:
    """LoRA layers around those of the model, which keeps its class; its own weights are no longer trained."""
    peft: Any = peft_package()
    import torch

    known = {name: value for name, value in settings.items() if name != "auto_mapping"}
    try:
        with torch.random.fork_rng():  # PEFT draws A from PyTorch's global generator
            torch.manual_seed(seed)
            peft.inject_adapter_in_model(peft.LoraConfig.from_peft_type(**known), model, NAME)
    except (ValueError, TypeError, KeyError) as error:
        message = f"the adapter does not fit the model: {error}"
        raise InvalidInput(message, reason="WRONG_BASE", field=SETTINGS) from error


def fill(model: Any, weights: Path) -> None:
    """Every tensor of the file is the model's, and every tensor of its adapter is in the file."""
    peft: Any = peft_package()
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = {name.removeprefix(PREFIX): tensor for name, tensor in load_file(weights).items()}
    except (OSError, SafetensorError) as error:
        raise DataLoss(f"{weights} cannot be read: {error}", reason="BROKEN_FILE", field=str(weights)) from error
    expected = peft.get_peft_model_state_dict(model, adapter_name=NAME, save_embedding_layers=False)
    shapes = {name: tensor.shape for name, tensor in found.items()}
    differing = sorted({*shapes.items()} ^ {(name, tensor.shape) for name, tensor in expected.items()})
    if differing:
        message = f"{weights} is not what {SETTINGS} says: they differ in {differing[0][0]}"
        raise DataLoss(message, reason="WEIGHTS_INCOMPLETE", field=differing[0][0])
    broken = next((name for name, tensor in found.items() if not tensor.isfinite().all()), None)
    if broken is not None:
        raise DataLoss(f"{weights}: {broken} is not finite", reason="NOT_FINITE", field=broken)
    peft.set_peft_model_state_dict(model, found, adapter_name=NAME)


def peft_package() -> Any:
    try:
        import peft
    except ModuleNotFoundError as error:
        message = "adapters need the package peft, which is not installed"
        raise MissingTool(message, field="peft", next_step="pip install 'agentforge[all]'") from error
    return peft
