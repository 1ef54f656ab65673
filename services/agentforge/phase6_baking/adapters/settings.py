"""What adapter_config.json may say of an adapter that is merged here. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from agentforge.kit.errors import InvalidInput
from agentforge.phase6_baking.adapters.described import Adapter

_KNOWN = frozenset({  # of adapter_config.json: what decides a merge and is dealt with here or by PEFT
    "peft_type", "task_type", "r", "rank_pattern", "lora_alpha", "alpha_pattern", "target_modules",
    "exclude_modules", "layers_to_transform", "layers_pattern", "fan_in_fan_out", "use_rslora", "use_dora",
    "init_lora_weights", "bias",
})  # fmt: skip
_IDLE = frozenset({  # what decides training, or nothing without something else that is refused
    "base_model_name_or_path", "revision", "peft_version", "inference_mode", "auto_mapping", "lora_dropout",
    "megatron_core", "qalora_group_size", "runtime_config", "loftq_config",
})  # fmt: skip
_PLAIN_STARTS = (None, True, False, "gaussian", "orthogonal")  # the others begin by changing the base's weights


def check_plain_lora(adapter: Adapter) -> None:
    """Only what is known to be merged exactly; a setting that is not known could change what the adapter means."""
    settings = adapter.settings
    _check_kind(adapter, settings)
    _check_alphas(adapter, settings)
    _check_targets(adapter, settings.get("target_modules"))
    for name, value in sorted(settings.items()):
        if name not in _KNOWN | _IDLE and value is not None and value is not False:
            raise _unsupported(adapter, name, value)
    if adapter.others:
        message = f"{adapter.directory} has {adapter.others[0]}: whole layers or tokens beside LoRA's factors"
        step = "Train without modules_to_save, or merge it with PEFT itself and give the model that comes out."
        raise InvalidInput(message, reason="UNSUPPORTED_ADAPTER", field=adapter.others[0], next_step=step)
    if not adapter.layers:
        message = f"{adapter.directory} changes no layer"
        raise InvalidInput(message, reason="NO_LAYERS", field=str(adapter.directory))


def _check_kind(adapter: Adapter, settings: Mapping[str, Any]) -> None:
    if settings.get("task_type") not in (None, "CAUSAL_LM"):
        raise _unsupported(adapter, "task_type", settings["task_type"])
    if settings.get("init_lora_weights") not in _PLAIN_STARTS:
        step = "Save it as a plain LoRA: PEFT's save_pretrained with path_initial_model_for_weight_conversion."
        raise _unsupported(adapter, "init_lora_weights", settings["init_lora_weights"], step)
    if settings.get("bias", "none") != "none":
        raise _unsupported(adapter, "bias", settings["bias"])


def _check_alphas(adapter: Adapter, settings: Mapping[str, Any]) -> None:
    pattern = settings.get("alpha_pattern", {})
    if not isinstance(pattern, dict):
        raise _unsupported(adapter, "alpha_pattern", pattern, "It is an object: train the adapter once more.")
    for alpha in (settings.get("lora_alpha"), *pattern.values()):
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
            raise _unsupported(adapter, "lora_alpha", alpha, "It is a finite number: train the adapter once more.")


def _check_targets(adapter: Adapter, targets: object) -> None:
    """A pattern is left to PEFT; a list must name every layer of the file, or PEFT would leave some out."""
    if isinstance(targets, str):
        return
    if not isinstance(targets, list) or not all(isinstance(each, str) for each in targets):
        raise _unsupported(adapter, "target_modules", targets, "It is a list of names, or a pattern.")
    for layer in sorted(adapter.layers):
        if not any(f".{layer}".endswith(f".{target}") for target in targets):
            message = f"{adapter.directory} has factors of {layer}, which its target_modules do not name"
            raise InvalidInput(message, reason="BROKEN_FILE", field="target_modules")


def _unsupported(adapter: Adapter, name: str, value: object, step: str = "") -> InvalidInput:
    message = f"{adapter.directory} has {name} {value!r}, which is not merged here"
    step = step or "Merge it with PEFT itself (merge_and_unload), and give the model that comes out."
    return InvalidInput(message, reason="UNSUPPORTED_ADAPTER", field=name, next_step=step)
