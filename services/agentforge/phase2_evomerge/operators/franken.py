"""FrankenMerge: each layer from the parent whose layer does best, measured in the place where it will work."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from torch import Tensor

from agentforge.phase2_evomerge.operators.tensors import Tensors, check_alike

_NUMBERED = re.compile(r"(?:^|(?P<wrapper>.*?)\.)(?P<layer>(?:layers?|h|blocks?)\.\d+)(?:\.|$)")


def layers_of(names: Iterable[str]) -> dict[str, list[str]]:
    """Tensor names by layer: "layers.3", "h.3"…, and all that is outside of them by its first component.

    "model.layers.0.mlp.up.weight" is in "layers.0", and "model.norm.weight" in "norm", as layers show that "model"
    is but a wrapper around all.
    """
    names = sorted(names)
    found = {name: match for name in names if (match := _NUMBERED.match(name))}
    wrappers = {each for match in found.values() if match["wrapper"] for each in _with_parents(match["wrapper"])}
    layers = defaultdict(list)
    for name in names:
        layers[found[name]["layer"] if name in found else _outside(name, wrappers)].append(name)
    return dict(layers)


def choose_layers(
    parents: Sequence[Tensors], center: Tensors, loss_of: Callable[[Tensors], float]
) -> dict[str, int]:
    """The parent (counted from 0) for each layer. Costs parents × layers evaluations.

    Layer l of parent i is as fit as `center` (a merge of the parents) with that layer put in: minus its loss. The
    lower index wins ties; a loss that is NaN is the worst.
    """
    check_alike((*parents, center))
    choice = {}
    for layer, names in layers_of(center).items():
        losses = [loss_of({**center, **_weights(parent, names)}) for parent in parents]
        choice[layer] = min(range(len(parents)), key=lambda i: math.inf if math.isnan(losses[i]) else losses[i])
    return choice


def frankenmerge(parents: Sequence[Tensors], choice: Mapping[str, int]) -> dict[str, Tensor]:
    check_alike(parents)
    parent_of = chosen_by_name(parents[0], choice)
    return {
        name: (parents[parent_of[name]][name] if tensor.is_floating_point() else tensor).clone()
        for name, tensor in parents[0].items()
    }


def chosen_by_name(names: Iterable[str], choice: Mapping[str, int]) -> dict[str, int]:
    return {name: choice[layer] for layer, members in layers_of(names).items() for name in members}


def _weights(parent: Tensors, names: Sequence[str]) -> dict[str, Tensor]:
    return {name: parent[name] for name in names if parent[name].is_floating_point()}


def _outside(name: str, wrappers: Iterable[str]) -> str:
    wrapper = max((each for each in wrappers if name.startswith(each)), key=len, default="")
    return name.removeprefix(wrapper).split(".")[0]


def _with_parents(wrapper: str) -> list[str]:
    """ "model.decoder" → "model.", "model.decoder."."""
    parts = wrapper.split(".")
    return [".".join(parts[:length]) + "." for length in range(1, len(parts) + 1)]
