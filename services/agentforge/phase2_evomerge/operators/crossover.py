"""Crossover: a child with layers of both parents."""

from __future__ import annotations

from torch import Tensor

from agentforge.kit.rng import Rng
from agentforge.phase2_evomerge.operators.franken import frankenmerge, layers_of
from agentforge.phase2_evomerge.operators.tensors import Tensors


def crossover(one: Tensors, other: Tensors, rng: Rng, *, rate: float = 0.7) -> dict[str, Tensor]:
    """With chance `rate` each layer is from either parent by a fair coin; else the child is a copy of the first."""
    generator = rng.python()
    crosses = generator.random() < rate
    choice = {layer: int(crosses and generator.random() < 0.5) for layer in layers_of(one)}
    return frankenmerge((one, other), choice)
