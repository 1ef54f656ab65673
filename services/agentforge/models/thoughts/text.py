"""A text that a model has read once, and thoughts that grow from many of its places at once.

Shapes as in mask.py, and D hidden size, V vocabulary.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from agentforge.kit.errors import InvalidInput


class Branches(Protocol):
    """Thoughts of one text, each with its own tokens; nothing in here changes the text."""

    def step(self, x_BMLD: Tensor, live_BML: Tensor) -> Tensor:
        """Append tokens (embeddings) to all thoughts at once; the state that the head reads, [B, M, L, D]."""


class Text(Protocol):
    hidden_BTD: Tensor  # what the head reads, in the caller's columns
    position_BT: Tensor  # of each token among the real ones; -1: padding
    context: int | None  # tokens that the model can place; None: no limit

    def embed(self, ids: Tensor) -> Tensor: ...

    def head(self, hidden: Tensor) -> Tensor:
        """Logits."""

    def branches(self, places_BP: Tensor, thoughts: int, *, blind: bool = False) -> Branches:
        """`thoughts` for each place (a column; -1: none), place by place. Blind ones see nothing of the text."""

    def dispersion(self) -> Tensor:
        """Entropy of attention over its maximum, mean over heads, layers and passes, in [0, 1]: [B, T]."""


def read(model: Any, ids_BT: Tensor, mask_BT: Tensor | None = None) -> Text:
    """Run the model over a text and keep what thoughts need; with gradients where they are on."""
    from agentforge.models import TitanForCausalLM
    from agentforge.models.thoughts.foreign import ForeignText
    from agentforge.models.thoughts.titan import TitanText

    if mask_BT is not None and not bool(mask_BT.any(1).all()):
        row = int((~mask_BT.bool().any(1)).nonzero()[0, 0])
        raise InvalidInput(f"row {row} of the batch holds no token", reason="EMPTY_ROW", field="input_ids")
    kind = TitanText if isinstance(model, TitanForCausalLM) else ForeignText
    return kind(model, ids_BT, mask_BT)


def positions(ids_BT: Tensor, mask_BT: Tensor | None) -> Tensor:
    """Of each token among the real ones of its row; -1: padding."""
    real_BT = torch.ones_like(ids_BT) if mask_BT is None else mask_BT.long()
    return (real_BT.cumsum(1) - 1).masked_fill(real_BT == 0, -1)


def columns(places_BP: Tensor, position_BT: Tensor) -> Tensor:
    """Where no place is (-1), the row's first token stands in, so that nothing is NaN; its results are not used."""
    first_B1 = (position_BT >= 0).long().argmax(1, keepdim=True)
    return torch.where(places_BP >= 0, places_BP, first_B1)


def check_reach(deepest: int, context: int | None) -> None:
    """Refuse a thought that goes on where the model has no positions."""
    if context is not None and deepest >= context:
        message = f"text and thought reach position {deepest:,}, and the model has {context:,}"
        step = "Take shorter rows or shorter thoughts."
        raise InvalidInput(message, reason="SEQUENCE_TOO_LONG", field="input_ids", next_step=step)
