"""A model's weights as arrays of a GGUF file's types. Names are the model's own; `gguf_name` has the file's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agentforge.kit.errors import FailedPrecondition, InvalidInput, Violation
from agentforge.models.gguf.fits import TERNARY, Dense, Ternary, misfit, norm_misfit
from agentforge.models.gguf.tools import tool
from agentforge.models.ternary.linear import BitLinear
from agentforge.models.ternary.packed_linear import PackedLinear
from agentforge.models.ternary.quantise import per_weight

Array = NDArray[Any]


@dataclass(frozen=True)
class Types:
    """Norms and biases are F32 always."""

    dense: Dense = "F16"  # linear layers that are not ternary
    ternary: Ternary = "TQ2_0"
    embeddings: Dense = "Q8_0"  # and head


@dataclass(frozen=True)
class Weight:
    """`value` is what the model computes with: of a ternary layer, codes times scales."""

    name: str
    value: Tensor
    kind: Dense | Ternary
    group: int = 0  # inputs that share a scale; 0: a row or all


def ternary_layers(model: nn.Module) -> dict[str, BitLinear | PackedLinear]:
    return {name: each for name, each in model.named_modules() if isinstance(each, BitLinear | PackedLinear)}


def weights(model: Any, types: Types) -> Iterator[Weight]:
    """All that the model has, each once however many names it has."""
    ternary = ternary_layers(model)
    for name, layer in ternary.items():
        value_OI = layer.codes() * per_weight(layer.scales(), layer.in_features)
        yield Weight(f"{name}.weight", value_OI, types.ternary, layer.mode.group)
    tables = {id(each.weight) for each in (model.get_input_embeddings(), model.get_output_embeddings())}
    for name, parameter in model.named_parameters():
        layer_name, _, own = name.rpartition(".")
        if own == "weight" and layer_name in ternary:
            continue
        matrix = types.embeddings if id(parameter) in tables else types.dense
        yield Weight(name, parameter.detach(), "F32" if parameter.ndim == 1 else matrix)


def check_weights(model: Any, types: Types) -> None:
    """All layers that do not fit are told at once."""
    found: list[Violation] = []
    for name, layer in ternary_layers(model).items():
        if layer.mode.strength != 1:
            message = f"{name} is ternary at strength {layer.mode.strength}, and only 1 can be written"
            raise FailedPrecondition(message, reason="NOT_TERNARY", field=name, next_step="Finish the warm-up.")
        if layer.mode.norm:
            found.append(norm_misfit(name))
    for each in weights(model, types):
        wrong = misfit(each.name.removesuffix(".weight"), each.value.shape[-1], each.kind, group=each.group)
        found += [] if wrong is None else [wrong]
    if found:
        raise InvalidInput.of(found)


def encoded(weight: Weight) -> Array:
    """As it stands in the file: bytes of blocks, or floats. A ternary layer keeps its values to the bit."""
    gguf, value = tool("gguf"), weight.value.float().cpu().numpy()
    kind = gguf.GGMLQuantizationType[weight.kind]
    with np.errstate(over="ignore"):  # told below, with a name
        made = cast(Array, gguf.quants.quantize(value, kind))
    again = gguf.quants.dequantize(made, kind)
    if not np.isfinite(again).all():
        message = f"{weight.name} is not finite in {weight.kind}"
        raise InvalidInput(message, reason="NOT_FINITE", field=weight.name, next_step="Take F32.")
    if weight.kind in TERNARY and not np.array_equal(again, value):
        message = f"the scales of {weight.name} are not exact in 16 bits, as {weight.kind} keeps them"
        step = "Make the layer ternary once more: its scales are then numbers of 16 bits."
        raise InvalidInput(message, reason="SCALE_NOT_HALF", field=weight.name, next_step=step)
    return made


def rounded(weight: Weight) -> Tensor:
    """The values that the file's type leaves of it."""
    gguf = tool("gguf")
    again = gguf.quants.dequantize(encoded(weight), gguf.GGMLQuantizationType[weight.kind])
    return torch.from_numpy(np.ascontiguousarray(again, np.float32)).view(weight.value.shape)


def pairs_together(value: Tensor, heads: int) -> Tensor:
    """Rows of q and k (or their biases) as llama.cpp's Llama turns them: in neighbouring pairs.

    Hugging Face turns row i of a head with row i + half.
    """
    split = value.view(heads, 2, -1, *value.shape[1:])
    return split.transpose(1, 2).reshape(value.shape)


def in_file_order(weight: Weight, config: Any) -> Weight:
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    layer = weight.name.split(".")[-2]
    if layer not in heads:
        return weight
    return Weight(weight.name, pairs_together(weight.value, heads[layer]), weight.kind, weight.group)


def file_names(layers: int) -> Callable[[str], str]:
    """A tensor's name in the file, by its name in the model."""
    gguf = tool("gguf")
    known = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, layers)

    def named(name: str) -> str:
        found: str | None = known.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            message = f"llama.cpp's Llama has no place for {name}"
            raise FailedPrecondition(message, reason="UNKNOWN_TENSOR", field=name)
        return found

    return named
