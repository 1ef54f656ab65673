"""A copy of a model with 2 bits for each ternary weight, which computes the same to the bit; and rebuilding it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentforge.kit.errors import DataLoss, FailedPrecondition


def packed(model: Any) -> Any:
    """A copy. What is not ternary stays as it is."""
    from agentforge.models.ternary.linear import ternary_layers
    from agentforge.models.ternary.packed_linear import PackedLinear

    own = copy.deepcopy(model).eval()
    for name, layer in ternary_layers(own).items():
        if layer.mode.strength != 1:
            message = f"{name} is ternary at strength {layer.mode.strength}, and only 1 can be packed"
            raise FailedPrecondition(message, reason="NOT_TERNARY", field=name, next_step="Finish the warm-up.")
        own.set_submodule(name, PackedLinear.of(layer))
    return own.requires_grad_(False)


def modes(model: Any) -> dict[str, dict[str, Any]]:
    """How each packed layer is ternary, for `rebuilt`."""
    from agentforge.models.ternary.packed_linear import PackedLinear

    layers = {name: each for name, each in model.named_modules() if isinstance(each, PackedLinear)}
    return {
        name: asdict(each.mode) | {"scales": list(each.scale_AG.shape), "bias": each.bias is not None}
        for name, each in layers.items()
    }


def rebuilt(directory: Path, state: Mapping[str, Any], ternary: Mapping[str, Mapping[str, Any]]) -> Any:
    """The model of config.json with these weights, each of which it must have a place for."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from agentforge.models import TitanForCausalLM  # noqa: F401  # registers it with the Auto classes
    from agentforge.models.ternary.linear import Mode
    from agentforge.models.ternary.packed_linear import PackedLinear

    loader: Any = AutoModelForCausalLM
    model = loader.from_config(AutoConfig.from_pretrained(directory, local_files_only=True), dtype=torch.float32)
    for name, told in ternary.items():
        layer, mode = model.get_submodule(name), dict(told)
        scale_AG, bias = (
            torch.zeros(mode.pop("scales")),
            torch.zeros(layer.out_features) if mode.pop("bias") else None,
        )
        code_OI = torch.zeros(layer.out_features, layer.in_features, dtype=torch.int8)
        model.set_submodule(name, PackedLinear(code_OI, scale_AG, bias, Mode(**mode)))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        message = f"the weights in {directory} are not of the model in its config.json: {error}"
        raise DataLoss(message, reason="WEIGHTS_INCOMPLETE", field=str(directory)) from error
    return model.eval().requires_grad_(False)  # as `packed` has it: with gradients attention takes other kernels
