"""Linear: the weighted mean, or sum, of the parents (Wortsman et al. 2022, "Model soups")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentforge.phase2_evomerge.methods.base import Sources
from agentforge.phase2_evomerge.methods.weights import Weights, final_weights, weighted_sum

if TYPE_CHECKING:
    from torch import Tensor


class Linear:
    name = "linear"
    needs_base = False
    parents_min, parents_max = 1, None
    Options = Weights

    def merge(self, sources: Sources, options: Weights) -> Tensor:
        return weighted_sum(sources.parents, final_weights(options, len(sources.parents)))
