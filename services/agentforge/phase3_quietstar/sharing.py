"""What each of several ranks' losses weighs, so that they add up to the loss of the whole batch.

The training loop weighs a rank's loss by its part of the learned tokens. Thoughts are means over other things: over
the tokens that thoughts serve, and over the thoughts themselves. Bounds hold for each rank's own rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agentforge.data.rows import IGNORED
from agentforge.kit.ranks import Ranks


@dataclass(frozen=True)
class Counts:
    """Of this rank's rows, and of all ranks'."""

    learned: float
    served: float  # tokens, by each kept thought
    kept: float  # thoughts
    places: float
    whole: Counts | None = None

    @classmethod
    def of(cls, labels_BT: Tensor, places_BP: Tensor, there_BPA: Tensor, kept_BPN: Tensor, own: Ranks) -> Counts:
        served = (there_BPA.sum(-1)[..., None] * kept_BPN).sum()
        found = [(labels_BT[:, 1:] != IGNORED).sum(), served, kept_BPN.sum(), (places_BP >= 0).sum()]
        numbers = torch.stack(found).double().cpu()
        whole = cls(*own.add_up(numbers.clone()).tolist())
        learned, served, kept, places = numbers.tolist()
        return cls(learned, served, kept, places, whole)

    def weighed(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """As they are where one rank has all rows, to the bit."""
        whole = self.whole
        if whole is None or whole.learned == self.learned:
            return losses
        part = self.learned / whole.learned
        shares = {"ahead": (self.served, whole.served), "reinforce": (self.kept, whole.kept)}
        weights = {name: own / max(1.0, every) / part for name, (own, every) in shares.items()}
        return {name: loss * weights.get(name, 1.0) for name, loss in losses.items()}
