"""What is wrong with adapters that are to be merged into a model: told from files, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agentforge.kit.checks import violations
from agentforge.kit.errors import DataLoss, FailedPrecondition, ForgeError, InvalidInput, Violation
from agentforge.kit.inputs import InputPath
from agentforge.models.fields_titan import MODEL_TYPE
from agentforge.phase6_baking.adapters.described import Adapter, Factors, first_not_finite, read_adapter
from agentforge.phase6_baking.adapters.settings import check_plain_lora
from agentforge.phase6_baking.adapters.together import check_together
from agentforge.phase6_baking.configs.adapters import AdaptersConfig
from agentforge.train.adapters import SETTINGS, WEIGHTS, check_base
from agentforge.train.directory import PACKED, TERNARY, model_directory, read_json, tensor_shapes, text_part

_READ_DIRECTLY = ("gates", "direct")  # of a Titan: layers whose weights are used without calling them
_HEADS = ("lm_head", "embed_out")


def check_adapters(base: Path, adapters: Sequence[InputPath], config: AdaptersConfig) -> list[Violation]:
    """All that can be told, by input. What is wrong with the base itself is for its own admission to tell."""
    directory = model_directory(base)
    described = read_json(directory / "config.json")
    shapes = tensor_shapes(directory)
    found, read = [], []
    for given in adapters:
        try:
            adapter = read_adapter(given.path)
        except ForgeError as error:
            found += error.at(given.field)
            continue
        read.append((given, adapter))
        found += _violations(given.field, adapter, directory, described, shapes)
    return found or check_together(read, config)


def _violations(
    field: str, adapter: Adapter, base: Path, described: Mapping[str, Any], shapes: Mapping[str, list[int]]
) -> list[Violation]:
    told = violations(
        (field, partial(check_plain_lora, adapter)),
        (field, partial(_check_finite, adapter)),
        (field, partial(check_belongs, adapter, shapes)),
        (field, partial(_check_reached, adapter, described, shapes)),
        (field, partial(_check_mergeable, adapter, base)),
    )
    return told or violations((field, partial(check_base, adapter.directory, base)))  # reads all of the base


def check_belongs(adapter: Adapter, shapes: Mapping[str, list[int]]) -> None:
    """Every layer that it changes is one of the base's, of the shape that B·A has."""
    transposed = bool(adapter.settings.get("fan_in_fan_out"))
    for layer, factors in sorted(adapter.layers.items()):
        weight = weight_of(layer, shapes)
        if weight is None and _last(layer) in _HEADS:
            continue  # it has no tensor of its own: it shares that of the embeddings, which is told apart
        if weight is None:
            raise _wrong(adapter, layer, f"the model has no layer {layer}", shapes)
        wide = [factors.b[0], factors.a[1]]
        if shapes[weight] != (wide[::-1] if transposed and not factors.embedding else _seen(wide, factors)):
            message = f"it changes {layer} as a matrix of {wide}, which is {shapes[weight]} in the model"
            raise _wrong(adapter, layer, message, shapes)
        if factors.rank not in adapter.ranks:
            message = f"{adapter.directory}: {layer} has rank {factors.rank}, which {SETTINGS} does not say"
            raise DataLoss(message, reason="BROKEN_FILE", field=layer)


def weight_of(layer: str, shapes: Mapping[str, list[int]]) -> str | None:
    """The base's tensor; a saved inner model lacks the prefix that the layers of the whole have."""
    name = f"{layer}.weight"
    if name in shapes:
        return name
    near = [each for each in shapes if name.endswith(f".{each}") or each.endswith(f".{name}")]
    return near[0] if len(near) == 1 else None


def _last(layer: str) -> str:
    return layer.rpartition(".")[2]


def _seen(wide: list[int], factors: Factors) -> list[int]:
    """Embeddings lie as [tokens, size], and B·A as [size, tokens]."""
    return wide[::-1] if factors.embedding else wide


def _check_finite(adapter: Adapter) -> None:
    name = first_not_finite(adapter.directory / WEIGHTS)
    if name is not None:
        raise DataLoss(f"{adapter.directory}: {name} is not finite", reason="NOT_FINITE", field=name)


def _check_reached(adapter: Adapter, described: Mapping[str, Any], shapes: Mapping[str, list[int]]) -> None:
    """Merged and unmerged would differ where a weight is used by more than the layer's own call."""
    titan = described.get("model_type") == MODEL_TYPE
    for layer, factors in sorted(adapter.layers.items()):
        last = _last(layer)
        if titan and last in _READ_DIRECTLY:
            message = f"{adapter.directory} changes {layer}, whose weights a Titan reads without calling the layer"
            step = "Train the adapter without that layer."
            raise InvalidInput(message, reason="UNSUPPORTED_LAYER", field=layer, next_step=step)
        if (factors.embedding or last in _HEADS) and _tied(described, shapes):
            message = f"{adapter.directory} changes {layer}, which token embeddings and head share in this model"
            step = "Train the adapter without embeddings and head, or untie them in the model first."
            raise InvalidInput(message, reason="TIED_EMBEDDINGS", field=layer, next_step=step)


def _tied(described: Mapping[str, Any], shapes: Mapping[str, list[int]]) -> bool:
    heads = any(name.endswith(f"{head}.weight") for name in shapes for head in _HEADS)
    return bool(text_part(dict(described)).get("tie_word_embeddings")) or not heads


def _check_mergeable(adapter: Adapter, base: Path) -> None:
    step = "Keep the adapter beside the model, or bake what it does by training the latents (straight-through)."
    if (base / PACKED).is_file():
        message = f"{base} is packed: it has codes and scales, and no weights that an adapter could be added to"
        raise FailedPrecondition(message, reason="PACKED_MODEL", field=str(base / PACKED), next_step=step)
    if not (base / TERNARY).is_file():
        return
    ternary = read_json(base / TERNARY).get("layers")
    both = sorted(adapter.layers.keys() & ternary.keys()) if isinstance(ternary, dict) else []
    if both:
        message = f"{adapter.directory} changes {both[0]}, which is ternary: merged, it would be rounded once more"
        raise FailedPrecondition(message, reason="TERNARY_MODEL", field=both[0], next_step=step)


def _wrong(adapter: Adapter, layer: str, message: str, shapes: Mapping[str, list[int]]) -> InvalidInput:
    trained_on = adapter.settings.get("base_model_name_or_path")
    told = f" It says that it was trained on {trained_on!r}." if trained_on else ""
    text = f"{adapter.directory} belongs to another model: {message}.{told}"
    return InvalidInput(text, reason="WRONG_BASE", field=layer, next_step="Give the model that it was trained on.")
