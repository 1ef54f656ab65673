"""Mutation: a little noise on a few weights."""

from __future__ import annotations

import torch
from torch import Tensor

from agentforge.kit.rng import Rng
from agentforge.phase2_evomerge.operators.tensors import Tensors, floats


def mutate(tensors: Tensors, rng: Rng, *, sigma: float = 0.01, rate: float = 0.01) -> dict[str, Tensor]:
    """Each weight, with chance `rate` and independently of the others, has noise of deviation `sigma` added.

    `sigma` is in the weights' own unit. Drawn per tensor, in the order of names: how many change (binomial), then
    which (none twice), then by how much. So a normal number is drawn only where one is used.
    """
    generator = rng.numpy()
    child = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    for _, tensor in floats(child):
        count = int(generator.binomial(tensor.numel(), rate))
        places = generator.choice(tensor.numel(), count, replace=False, shuffle=False)
        noise = torch.from_numpy(generator.normal(0.0, sigma, count)).to(tensor)
        tensor.view(-1)[torch.from_numpy(places).to(tensor.device)] += noise
    return child


def adaptive_sigma(sigma: float, success_rate: float, factor: float = 0.85) -> float:
    """The 1/5 rule (Rechenberg 1973; factor by Schwefel): larger steps when more than a fifth of the mutants were
    better than their parents, smaller ones when fewer were."""
    if success_rate == 0.2:
        return sigma
    return sigma / factor if success_rate > 0.2 else sigma * factor
