"""A recipe: each parent's weight in each group of layers. CMA-ES and NSGA-II evolve it; a user can keep one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from agentforge.kit.errors import InvalidInput
from agentforge.phase2_evomerge.methods.weights import weighted_sum
from agentforge.phase2_evomerge.operators.franken import layers_of
from agentforge.phase2_evomerge.operators.tensors import Tensors
from agentforge.phase2_evomerge.parents import Parents

REST = "rest"
_SMALL = 0.01  # share of the weights below which a group is not worth numbers of its own

Recipe = dict[str, list[float]]
"""Group of layers to one weight for each parent: of its change from the base."""


class Kitchen:
    """Recipes as flat vectors, group by group and parent by parent, and as models."""

    def __init__(self, parents: Parents) -> None:
        self.parents = parents
        self.groups = groups_of(parents.tensors[0])
        self._group_of = {name: group for group, names in self.groups.items() for name in names}

    @property
    def size(self) -> int:
        return len(self.groups) * len(self.parents.names)

    def recipe(self, vector: Sequence[float]) -> Recipe:
        count = len(self.parents.names)
        return {
            group: [float(weight) for weight in vector[place * count : (place + 1) * count]]
            for place, group in enumerate(self.groups)
        }

    def vector(self, recipe: Recipe) -> list[float]:
        return [weight for group in self.groups for weight in recipe[group]]

    def even(self) -> list[float]:
        """The parents' mean."""
        return [1 / len(self.parents.names)] * self.size

    def only(self, parent: int) -> list[float]:
        """That parent itself."""
        count = len(self.parents.names)
        return [float(place % count == parent) for place in range(self.size)]

    def cooked(self, recipe: Recipe) -> dict[str, Tensor]:
        """base + Σ weight · (parent − base), written as one sum over base and parents."""
        child = {}
        for name, base in self.parents.trunk.items():
            if not base.is_floating_point():
                child[name] = self.parents.tensors[0][name]
                continue
            weights = recipe[self._group_of[name]]
            copies = (base, *(parent[name] for parent in self.parents.tensors))
            child[name] = weighted_sum(copies, (1 - math.fsum(weights), *weights))
        return child

    def checked(self, given: Mapping[str, Any]) -> Recipe:
        """A recipe that a user gives."""
        if given.keys() != self.groups.keys():
            message = f"the recipe names {', '.join(sorted(given))}; the model has {', '.join(self.groups)}"
            raise InvalidInput(message, reason="WRONG_RECIPE", field="recipe.given")
        for group, weights in given.items():
            if len(weights) != len(self.parents.names):
                message = f"{group} has {len(weights)} weights for {len(self.parents.names)} models"
                raise InvalidInput(message, reason="WRONG_RECIPE", field=f"recipe.given.{group}")
        return {group: [float(weight) for weight in given[group]] for group in self.groups}


def groups_of(tensors: Tensors) -> dict[str, list[str]]:
    """Layers, embeddings and whatever else is large, each a group; all small things together in one."""
    floating = [name for name, tensor in tensors.items() if tensor.is_floating_point()]
    layers = layers_of(floating)
    sizes = {layer: sum(tensors[name].numel() for name in names) for layer, names in layers.items()}
    total = sum(sizes.values())
    large = {layer: names for layer, names in layers.items() if sizes[layer] >= _SMALL * total}
    small = [name for layer, names in layers.items() if layer not in large for name in names]
    return {**large, **({REST: small} if small else {})}
