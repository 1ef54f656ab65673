"""Thoughts that cannot help: if the gain stays with them, it did not come from thinking."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng
from agentforge.models.thoughts.generate import Thoughts
from agentforge.models.thoughts.tokens import Marks


def by_random_tokens(thoughts: Thoughts, marks: Marks, vocabulary: int, rng: Rng) -> Thoughts:
    """As long as they were, of any tokens but the marks."""
    others_V = torch.tensor([number for number in range(vocabulary) if number not in (marks.start, marks.end)])
    drawn_BPNL = torch.randint(len(others_V), thoughts.ids_BPNL.shape, generator=rng.torch())
    random_BPNL = others_V[drawn_BPNL].to(thoughts.ids_BPNL.device)
    inner_BPNL = thoughts.live_BPNL & (thoughts.ids_BPNL != marks.start) & (thoughts.ids_BPNL != marks.end)
    return replace(thoughts, ids_BPNL=torch.where(inner_BPNL, random_BPNL, thoughts.ids_BPNL))


def by_another_items(thoughts: Thoughts) -> Thoughts:
    """Each place gets the thoughts of a place of the next row, one that is as far along among its row's places."""
    places = [(row >= 0).nonzero()[:, 0].tolist() for row in thoughts.places_BP]
    rows = [row for row, found in enumerate(places) if found]
    if len(rows) < 2:
        message = "only one item of the batch has thoughts: there is none to exchange them with"
        raise InvalidInput(message, reason="TOO_FEW_ITEMS", field="input_ids", next_step="Take larger batches.")
    row_BP, place_BP = (torch.zeros_like(thoughts.places_BP) for _ in range(2))
    for row, donor in zip(rows, [*rows[1:], rows[0]], strict=True):
        for rank, place in enumerate(places[row]):
            row_BP[row, place] = donor
            place_BP[row, place] = places[donor][rank * len(places[donor]) // len(places[row])]
    exchanged: dict[str, Tensor] = {
        name: getattr(thoughts, name)[row_BP, place_BP] for name in ("ids_BPNL", "live_BPNL", "chosen_BPNL")
    }
    return replace(thoughts, **exchanged)


def by_nothing(thoughts: Thoughts, marks: Marks) -> Thoughts:
    """The two marks with nothing between them."""
    ids_BPN2 = torch.full_like(thoughts.ids_BPNL[..., :2], marks.end)
    ids_BPN2[..., 0] = marks.start
    return Thoughts(
        thoughts.places_BP, ids_BPN2, torch.ones_like(ids_BPN2, dtype=torch.bool), torch.zeros_like(ids_BPN2).bool()
    )
