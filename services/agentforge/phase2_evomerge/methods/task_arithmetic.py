"""Task arithmetic: the weighted differences, added to the base (Ilharco et al. 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from agentforge.phase2_evomerge.methods.base import Sources
from agentforge.phase2_evomerge.methods.weights import Weights, final_weights, weighted_sum

if TYPE_CHECKING:
    from torch import Tensor


class TaskArithmeticOptions(Weights):
    normalize: bool = Field(False, description="Divide by the sum of the weights: a mean of the differences.")
    lam: float = Field(1.0, ge=0, le=10, description="λ: factor on the merged difference.")


class TaskArithmetic:
    name = "task_arithmetic"
    needs_base = True
    parents_min, parents_max = 1, None
    Options = TaskArithmeticOptions

    def merge(self, sources: Sources, options: TaskArithmeticOptions) -> Tensor:
        """base + λ Σ w (parent - base), written as one sum over base and parents."""
        weights = [options.lam * weight for weight in final_weights(options, len(sources.parents))]
        return weighted_sum((sources.trunk, *sources.parents), (1 - sum(weights), *weights))
