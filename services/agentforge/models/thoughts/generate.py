"""Thoughts at all places of a text at once: one forward for each of their tokens, never one over the text again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from agentforge.models.thoughts.sampling import Draws, Sampling, draw, policy
from agentforge.models.thoughts.text import Branches, Text, check_reach
from agentforge.models.thoughts.tokens import Marks

ROWS = 128  # of logits at a time


@dataclass(frozen=True)
class Thoughts:
    """What was thought. L counts both marks; what follows the end mark is not live."""

    places_BP: Tensor  # columns of the text; -1: none
    ids_BPNL: Tensor
    live_BPNL: Tensor
    chosen_BPNL: Tensor  # drawn by the model, not put there

    @property
    def length_BPN(self) -> Tensor:
        """Tokens between the marks."""
        return self.live_BPNL.sum(-1) - 2


@dataclass(frozen=True)
class Told:
    """Thoughts that the model has gone through: its states, and the branches that the text can go on from."""

    hidden_BPNLD: Tensor  # at each thought token
    end_BPND: Tensor  # at the end mark: predicts the text's next token
    branches: Branches


def generate(
    text: Text, places_BP: Tensor, marks: Marks, sampling: Sampling, draws: Draws
) -> tuple[Thoughts, Told]:
    position_BP = text.position_BT.gather(1, places_BP.clamp_min(0))
    check_reach(int(position_BP.max()) + sampling.length + 2, text.context)  # now, not at the last token
    uniform_BPNLU = draws.uniform(position_BP, sampling)
    shape = (*places_BP.shape, sampling.thoughts)
    branches = text.branches(places_BP, sampling.thoughts)
    ids_BPN = torch.full(shape, marks.start, device=places_BP.device)
    open_BPN = torch.ones(shape, dtype=torch.bool, device=places_BP.device)
    chosen_BPN = torch.zeros_like(open_BPN)
    x_BPND = text.embed(ids_BPN)
    said: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for step in range(sampling.length + 2):
        hidden_BMLD = branches.step(x_BPND.flatten(1, 2)[:, :, None], open_BPN.flatten(1)[:, :, None])
        hidden_BPND = hidden_BMLD[:, :, 0].view(*shape, -1)
        said.append((ids_BPN, open_BPN, chosen_BPN, hidden_BPND))
        open_BPN = open_BPN & (ids_BPN != marks.end)
        if step == sampling.length + 1 or not bool(open_BPN.any()):
            break
        if step == sampling.length:  # out of room
            ids_BPN, chosen_BPN = torch.full_like(ids_BPN, marks.end), torch.zeros_like(open_BPN)
            x_BPND = text.embed(ids_BPN)
        else:
            drawn_BPN = _drawn(text, hidden_BPND, uniform_BPNLU[..., step, :], marks, sampling)
            ids_BPN, chosen_BPN = torch.where(open_BPN, drawn_BPN, marks.end), open_BPN
            x_BPND = text.embed(ids_BPN)
            if sampling.straight_through:
                x_BPND = x_BPND + _straight(text, policy(text.head(hidden_BPND), marks.start, sampling.temperature))
    ids, live, chosen, hidden = zip(*said, strict=True)
    thoughts = Thoughts(places_BP, torch.stack(ids, -1), torch.stack(live, -1), torch.stack(chosen, -1))
    return thoughts, _told(torch.stack(hidden, -2), thoughts.live_BPNL, branches)


@torch.no_grad()
def _drawn(text: Text, hidden_BPND: Tensor, uniform_BPNU: Tensor, marks: Marks, sampling: Sampling) -> Tensor:
    """A few rows of logits at a time: all of them are much memory and slow, and so are very few."""
    pieces = zip(
        torch.split(hidden_BPND.flatten(0, 2), ROWS), torch.split(uniform_BPNU.flatten(0, 2), ROWS), strict=True
    )
    drawn = [draw(text.head(hidden_XD), uniform, marks.start, sampling) for hidden_XD, uniform in pieces]
    return torch.cat(drawn).view(hidden_BPND.shape[:3])


def _straight(text: Text, logits_BPNV: Tensor) -> Tensor:
    """Zero, with the derivative of the mean embedding under the policy."""
    every_VD = text.embed(torch.arange(logits_BPNV.shape[-1], device=logits_BPNV.device)).detach()
    mean_BPND = logits_BPNV.softmax(-1) @ every_VD
    return mean_BPND - mean_BPND.detach()


def retell(text: Text, thoughts: Thoughts, *, blind: bool = False, live_BPNL: Tensor | None = None) -> Told:
    """Go through given thoughts in one forward: for gradients, for spoiled thoughts, for what is not drawn.

    `blind`: without the text. `live_BPNL`: leave out more tokens than those after the end.
    """
    ids_BPNL = thoughts.ids_BPNL
    live_BPNL = thoughts.live_BPNL if live_BPNL is None else live_BPNL
    branches = text.branches(thoughts.places_BP, ids_BPNL.shape[2], blind=blind)
    hidden_BMLD = branches.step(text.embed(ids_BPNL.flatten(1, 2)), live_BPNL.flatten(1, 2))
    return _told(hidden_BMLD.view(*ids_BPNL.shape, -1), thoughts.live_BPNL, branches)


def _told(hidden_BPNLD: Tensor, live_BPNL: Tensor, branches: Branches) -> Told:
    last_BPN = live_BPNL.sum(-1) - 1
    index_BPNLD = last_BPN[..., None, None].expand(*last_BPN.shape, 1, hidden_BPNLD.shape[-1])
    return Told(hidden_BPNLD, hidden_BPNLD.gather(3, index_BPNLD)[..., 0, :], branches)


def ahead(text: Text, told: Told, targets_BPA: Tensor, there_BPA: Tensor) -> Tensor:
    """States that predict the A tokens after each place, [B, P, N, A, D], each given the true ones before it.

    Ends the branches: they are one text longer afterwards.
    """
    width = targets_BPA.shape[2]
    first_BPN1D = told.end_BPND[..., None, :]
    if width == 1:
        return first_BPN1D
    thoughts = first_BPN1D.shape[2]
    x_BMLD = text.embed(targets_BPA[..., :-1].repeat_interleave(thoughts, 1))
    live_BML = there_BPA[..., :-1].repeat_interleave(thoughts, 1)
    later_BMLD = told.branches.step(x_BMLD, live_BML)
    return torch.cat((first_BPN1D, later_BMLD.view(*first_BPN1D.shape[:3], width - 1, -1)), 3)


def log_policy(text: Text, thoughts: Thoughts, told: Told, marks: Marks, temperature: float) -> Tensor:
    """Log-probability of each token given those before it, [B, P, N, L]; 0 where the model did not choose."""
    before_BPNLV = policy(text.head(told.hidden_BPNLD[..., :-1, :]), marks.start, temperature)
    of_token_BPNL = before_BPNLV.log_softmax(-1).gather(-1, thoughts.ids_BPNL[..., 1:, None])[..., 0]
    return F.pad(of_token_BPNL, (1, 0)).where(thoughts.chosen_BPNL, 0.0)
