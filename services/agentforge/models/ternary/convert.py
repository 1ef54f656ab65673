"""Which layers of a model become ternary, and making them so."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from torch import nn

from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.groups import misfit
from agentforge.models.ternary.linear import BitLinear, Mode
from agentforge.models.ternary.quantise import ternary_already

Chosen = Collection[str] | Callable[[str, nn.Linear], bool]


def projections(model: nn.Module) -> list[str]:
    """The large matrices of attention, MLP and memory. Embeddings, heads, gates and norms are none.

    Of Titan by what they belong to; elsewhere by the usual name, q_proj to down_proj. A routers' `gate` is none.
    """
    from agentforge.models.memory_titan import LongTermMemory
    from agentforge.models.modeling_titan import SlidingAttention, SwiGLU

    found = []
    for place, parent in model.named_modules():
        ours = isinstance(parent, SlidingAttention | SwiGLU | LongTermMemory)
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear) and (name != "gates" if ours else name.endswith("_proj")):
                found.append(f"{place}.{name}" if place else name)
    return found


def convert(model: nn.Module, chosen: Chosen | None = None, mode: Mode | None = None) -> list[str]:
    """Make the chosen layers (those of `projections`) ternary in place; the names of those that were not before.

    Their parameters stay the same objects. A weight that is ternary already keeps its values: its scale is then
    read from it, since absmean would shrink it once more.
    """
    mode = mode or Mode()
    plain = {name: layer for name, layer in _linears(model, chosen).items() if not isinstance(layer, BitLinear)}
    check_groups(plain, mode)
    for name, layer in plain.items():
        swap(model, name, layer, _as_it_is(layer, mode))
    return list(plain)


def swap(model: nn.Module, name: str, layer: nn.Linear, mode: Mode) -> None:
    model.set_submodule(name, BitLinear(layer, mode))


def check_groups(layers: dict[str, nn.Linear], mode: Mode) -> None:
    """Nothing is changed where one of them does not fit."""
    found = (misfit(name, layer.in_features, mode.group) for name, layer in layers.items())
    misfits = [each for each in found if each is not None]
    if misfits:
        raise InvalidInput.of(misfits)


def _as_it_is(layer: nn.Linear, mode: Mode) -> Mode:
    already = ternary_already(layer.weight, mode.group)
    if already is None:
        return mode
    scale, group = already
    return replace(mode, scale=scale, group=group, fit="survivors", threshold=Mode.threshold)


def _linears(model: nn.Module, chosen: Chosen | None) -> dict[str, nn.Linear]:
    there: dict[str, nn.Linear] = {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear)}
    if chosen is None:
        chosen = projections(model)
    names = [n for n, m in there.items() if chosen(n, m)] if callable(chosen) else list(chosen)
    if not names:
        message = f"no layer to make ternary was found in a {type(model).__name__}"
        raise InvalidInput(message, reason="NO_LAYERS", field="layers", next_step="Name its layers.")
    head = _output_embeddings(model)
    for name in names:
        if name not in there:
            message = f"{name!r} is no linear layer of this {type(model).__name__}"
            raise InvalidInput(message, reason="UNKNOWN_LAYER", field=name)
        if there[name] is head:
            step = "Pack embeddings and head in 8 or 4 bits instead."
            raise InvalidInput(
                f"{name} makes the logits and stays as it is", reason="NOT_TERNARY", field=name, next_step=step
            )
    return {name: there[name] for name in names}


def _output_embeddings(model: Any) -> nn.Module | None:
    return model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
