"""A few weights of a model, at places that never change: enough to tell how far apart models are."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from agentforge.kit.rng import Rng
from agentforge.phase2_evomerge.operators.tensors import Tensors, floats

_MOST = 4_096


class Sketch:
    """Weights drawn at random from all, large tensors having as many more as they are larger."""

    def __init__(self, like: Tensors) -> None:
        sizes = {name: tensor.numel() for name, tensor in floats(like)}
        total = sum(sizes.values())
        self.size = min(_MOST, total)
        places = np.sort(Rng(0, "evomerge/sketch").numpy().choice(total, self.size, replace=False, shuffle=False))
        self._places: dict[str, torch.Tensor] = {}
        first = 0
        for name, size in sizes.items():
            own = places[(places >= first) & (places < first + size)] - first
            self._places[name] = torch.from_numpy(own)
            first += size

    def of(self, tensors: Tensors) -> NDArray[np.float64]:
        drawn = [tensors[name].reshape(-1)[at.to(tensors[name].device)] for name, at in self._places.items()]
        found: NDArray[np.float64] = torch.cat(drawn).double().cpu().numpy()
        return found


def sketch_distance(sketches: Sequence[NDArray[np.float64]]) -> float:
    """Mean distance of all pairs over the mean norm."""
    pairs = [float(np.linalg.norm(one - other)) for one, other in itertools.combinations(sketches, 2)]
    return statistics.fmean(pairs) / statistics.fmean(float(np.linalg.norm(each)) for each in sketches)
