"""DFS: the parents' mean, each weight counted by its importance (Matena & Raffel 2022, with Fisher's diagonal)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from agentforge.phase2_evomerge.methods.base import check_finite
from agentforge.phase2_evomerge.operators.tensors import pieces


def weighted_mean(name: str, parents: Sequence[Tensor], importances: Sequence[Tensor], floor: float) -> Tensor:
    """Σ f p / Σ f over one tensor of all parents; in float64, rounded once.

    To every importance `floor` times their mean over this tensor is added, so that where all are zero the plain
    mean comes out, and next to zero is not noise over noise.
    """
    check_finite(name, importances, role="importance of parent")
    flat_parents = [parent.reshape(-1) for parent in parents]
    flat = [importance.reshape(-1) for importance in importances]
    numbers = len(parents) * parents[0].numel()
    total = math.fsum(float(each[here].double().sum()) for each in flat for here in pieces(parents[0]))
    least = floor * total / numbers if total > 0 else 1.0
    merged = torch.empty_like(parents[0], memory_format=torch.contiguous_format)
    for here in pieces(parents[0]):
        factors = [each[here].double() + least for each in flat]
        weights = torch.stack(factors).sum(0)
        # From the first parent on: equal weights come out as they were, whatever the factors.
        first = flat_parents[0][here].double()
        change = sum((p[here].double() - first) * f for p, f in zip(flat_parents[1:], factors[1:], strict=True))
        merged.view(-1)[here] = first + change / weights
    return merged
