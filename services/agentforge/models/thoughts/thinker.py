"""A model that can think: with its marks, its mixing head, and its habits of when and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from agentforge.kit.errors import InvalidInput
from agentforge.models.thoughts.generate import Told, ahead
from agentforge.models.thoughts.mixing import MixingHead, mix
from agentforge.models.thoughts.places import gathered
from agentforge.models.thoughts.sampling import Sampling
from agentforge.models.thoughts.text import Text
from agentforge.models.thoughts.tokens import Marks


@dataclass(frozen=True)
class Habits:
    """`threshold`: difficulty (entropy of the plain prediction over log V) from which on a place is thought at."""

    sampling: Sampling
    ahead: int = 4  # tokens that a thought serves
    threshold: float | None = None  # None: it never thinks
    seed: int = 0  # of the thoughts' tokens

    def __post_init__(self) -> None:
        if self.ahead < 1:
            message = f"ahead is {self.ahead}; a thought must serve at least one token"
            raise InvalidInput(message, reason="OUT_OF_RANGE", field="ahead")


class Thinker(nn.Module):
    """The model itself is not changed: without a thought its predictions are its own, to the bit."""

    def __init__(self, model: Any, marks: Marks, habits: Habits, head: MixingHead | None = None) -> None:
        super().__init__()
        self.model, self.marks, self.habits = model, marks, habits
        size = model.get_input_embeddings().weight.shape[1]
        self.head = (MixingHead(size) if head is None else head).to(model.device)

    def get_input_embeddings(self) -> nn.Module:
        found: nn.Module = self.model.get_input_embeddings()
        return found

    def get_output_embeddings(self) -> nn.Module | None:
        found: nn.Module | None = self.model.get_output_embeddings()
        return found


@dataclass(frozen=True)
class Mixed:
    """Logits for the A tokens after each place: the text's own, and with each thought."""

    base_BPAV: Tensor
    logits_BPNAV: Tensor
    alpha_BPNA: Tensor


def mixed(
    thinker: Thinker, text: Text, told: Told, places_BP: Tensor, targets_BPA: Tensor, there_BPA: Tensor
) -> Mixed:
    """`targets_BPA` and `there_BPA` as places.targets gives them. Ends the branches, as `ahead` does."""
    thought_BPNAD = ahead(text, told, targets_BPA, there_BPA)
    width, last = targets_BPA.shape[2], text.hidden_BTD.shape[1] - 1
    column_BPA = (places_BP.clamp_min(0)[..., None] + torch.arange(width, device=places_BP.device)).clamp_max(last)
    index_BXD = column_BPA.flatten(1)[..., None].expand(-1, -1, text.hidden_BTD.shape[2])
    base_BPAD = text.hidden_BTD.gather(1, index_BXD).view(*column_BPA.shape, -1)
    alpha_BPNA1 = thinker.head(base_BPAD[:, :, None], thought_BPNAD)
    base_BPAV = text.head(base_BPAD)
    logits_BPNAV = mix(alpha_BPNA1, base_BPAV[:, :, None], text.head(thought_BPNAD))
    return Mixed(base_BPAV, logits_BPNAV, alpha_BPNA1[..., 0])


def places_to_think(difficulty_BT: Tensor, allowed_BT: Tensor, habits: Habits) -> Tensor:
    """Columns [B, P] as a speaker comes to them: hard enough, and served by no thought from before."""
    taken_BT = torch.zeros_like(allowed_BT, dtype=torch.bool)
    if habits.threshold is not None:
        hard_BT = (difficulty_BT >= habits.threshold) & allowed_BT.bool()
        for row, columns in enumerate(hard_BT.tolist()):
            free = 0
            for column, hard in enumerate(columns):
                if hard and column >= free:
                    taken_BT[row, column] = True
                    free = column + habits.ahead
    return gathered(taken_BT)
