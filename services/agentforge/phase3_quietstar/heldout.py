"""Held-out items as a thinker goes through them: read, thought about at its places, and those thoughts told again.

All thoughts are had before any is told, so that they can be exchanged among all items. They belong to item and
place: the batch that an item falls into changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.models.thoughts.generate import Thoughts, Told, generate, retell
from agentforge.models.thoughts.mixing import mean_prediction
from agentforge.models.thoughts.places import targets
from agentforge.models.thoughts.sampling import Draws, entropy
from agentforge.models.thoughts.text import Text, read
from agentforge.models.thoughts.thinker import Mixed, Thinker, mixed, places_to_think
from agentforge.train.evaluate import alike, padded

LOGITS = 2**24  # at a time: 64 MiB in float32, of which mixing holds up to four
TOKENS = 2**14  # of thoughts at a time, whose keys and values are kept


@dataclass(frozen=True)
class Reading:
    """Some of the items, read. What is known of the token in column t + 1 is in column t, which predicts it."""

    items: list[int]
    text: Text
    ids_BT: Tensor
    mask_BT: Tensor
    said_BT: Tensor  # whether the next token is the model's to say: a thought may hang here
    nats_BT: Tensor  # float64, of the plain prediction where said, else 0
    difficulty_BT: Tensor  # its entropy over log V where said, else 0


@dataclass(frozen=True)
class Served:
    """Some places of a reading, and the A tokens that each serves."""

    thoughts: Thoughts
    told: Told
    mixed: Mixed
    targets_BPA: Tensor
    counted_BPA: Tensor  # there, and the model's to say
    column_BPA: Tensor  # that predicts it

    @property
    def mean_BPAV(self) -> Tensor:
        """Log-probabilities with all thoughts of the place."""
        kept_BPN = (self.thoughts.places_BP >= 0)[..., None].expand(self.mixed.alpha_BPNA.shape[:3])
        return mean_prediction(self.mixed.logits_BPNAV, self.mixed.base_BPAV, kept_BPN)


@contextmanager
def resting(thinker: Thinker) -> Iterator[None]:
    """Without gradients, and as the model is when it is used."""
    training = thinker.training
    thinker.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        thinker.train(training)


def readings(
    thinker: Thinker, codec: Codec, items: Sequence[Item], batch: int, tokens: int = 0
) -> Iterator[Reading]:
    """Batches of similar length, with memory for a place of each row at once; `tokens` as in `at_a_time`."""
    encoded = [codec.item_ids(item) for item in items]
    rows = min(batch, max(1, at_a_time(thinker, tokens) // thinker.habits.sampling.thoughts))
    for some in alike([len(ids) for ids, _ in encoded], rows):
        device = thinker.model.device
        ids_BT, mask_BT = padded([encoded[item][0] for item in some], codec.pad, device)
        learned_BT, _ = padded([[int(each) for each in encoded[item][1]] for item in some], 0, device)
        said_BT = F.pad(learned_BT[:, 1:], (0, 1)).bool()
        text = read(thinker.model, ids_BT, mask_BT)
        yield Reading(
            some, text, ids_BT, mask_BT, said_BT, *_plain(text, ids_BT, said_BT, LOGITS // vocabulary(thinker))
        )


def _plain(text: Text, ids_BT: Tensor, said_BT: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    next_X = ids_BT.roll(-1, 1)[said_BT]
    nats, difficulty = [], []
    for hidden_XD, wanted_X in zip(
        torch.split(text.hidden_BTD[said_BT], rows), torch.split(next_X, rows), strict=True
    ):
        logits_XV = text.head(hidden_XD)
        nats.append(-logits_XV.log_softmax(-1).gather(1, wanted_X[:, None])[:, 0])
        difficulty.append(entropy(logits_XV) / math.log(logits_XV.shape[-1]))
    nats_BT = torch.zeros_like(ids_BT, dtype=torch.float64)
    difficulty_BT = torch.zeros_like(ids_BT, dtype=text.hidden_BTD.dtype)
    nats_BT[said_BT], difficulty_BT[said_BT] = torch.cat(nats).double(), torch.cat(difficulty)
    return nats_BT, difficulty_BT


def thoughts_of_all(thinker: Thinker, codec: Codec, items: Sequence[Item], batch: int) -> Thoughts:
    """One row for each item, in their order."""
    found, order = [], list[int]()
    for reading in readings(thinker, codec, items, batch):
        found.append(_thoughts(thinker, reading))
        order += reading.items
    every = _together(found, 0, thinker.marks.end)
    return rows_of(every, torch.tensor(order, device=every.places_BP.device).argsort())


def _thoughts(thinker: Thinker, reading: Reading) -> Thoughts:
    places_BP = places_to_think(reading.difficulty_BT, reading.said_BT, thinker.habits)
    sampling, marks = thinker.habits.sampling, thinker.marks
    draws = Draws(thinker.habits.seed, rows=reading.items)
    pieces = torch.split(places_BP, width(thinker, len(places_BP)), 1) if places_BP.shape[1] else ()
    had = [generate(reading.text, piece_BP, marks, sampling, draws)[0] for piece_BP in pieces]
    none_BPNL = places_BP.new_zeros(len(places_BP), 0, sampling.thoughts, 2)
    return _together(had, 1, marks.end) if had else Thoughts(places_BP, none_BPNL, *[none_BPNL.bool()] * 2)


def served(thinker: Thinker, reading: Reading, every: Thoughts, tokens: int = 0) -> Iterator[Served]:
    """Its items' thoughts, told a few places at a time: as many as `at_a_time` allows."""
    thoughts = trimmed(rows_of(every, torch.tensor(reading.items, device=every.places_BP.device)))
    step = width(thinker, len(reading.items), tokens)
    for start in range(0, thoughts.places_BP.shape[1], step):
        here = slice(start, start + step)
        some = Thoughts(*(each[:, here] for each in parts(thoughts)))
        told = retell(reading.text, some)
        targets_BPA, there_BPA = targets(reading.ids_BT, reading.mask_BT, some.places_BP, thinker.habits.ahead)
        found = mixed(thinker, reading.text, told, some.places_BP, targets_BPA, there_BPA)
        column_BPA = some.places_BP[..., None] + torch.arange(targets_BPA.shape[2], device=targets_BPA.device)
        column_BPA = column_BPA.clamp(0, reading.ids_BT.shape[1] - 1)
        said_BPA = reading.said_BT.gather(1, column_BPA.flatten(1)).view(column_BPA.shape)
        yield Served(some, told, found, targets_BPA, there_BPA & said_BPA, column_BPA)


def at_a_time(thinker: Thinker, tokens: int = 0) -> int:
    """Thoughts that fit into memory; `tokens`: logits wanted of each, where they are more than those ahead."""
    sampling, ahead = thinker.habits.sampling, thinker.habits.ahead
    return min(LOGITS // (max(ahead, tokens) * vocabulary(thinker)), TOKENS // (sampling.length + 2 + ahead))


def vocabulary(thinker: Thinker) -> int:
    return int(thinker.model.get_input_embeddings().num_embeddings)


def width(thinker: Thinker, rows: int, tokens: int = 0) -> int:
    """Places of each row at a time."""
    return max(1, at_a_time(thinker, tokens) // (rows * thinker.habits.sampling.thoughts))


def trimmed(thoughts: Thoughts) -> Thoughts:
    """Without columns that no place or no token of a thought is in."""
    there_BP = thoughts.places_BP >= 0
    places = int(there_BP.sum(1).max())
    length = int((thoughts.live_BPNL & there_BP[..., None, None]).sum(-1).max()) if places else 2
    places_BP, *others = (each[:, :places] for each in parts(thoughts))
    return Thoughts(places_BP, *(each[..., :length] for each in others))


def parts(thoughts: Thoughts) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return thoughts.places_BP, thoughts.ids_BPNL, thoughts.live_BPNL, thoughts.chosen_BPNL


def rows_of(thoughts: Thoughts, rows_X: Tensor) -> Thoughts:
    return Thoughts(*(each[rows_X] for each in parts(thoughts)))


def _together(pieces: Sequence[Thoughts], dim: int, end: int) -> Thoughts:
    """Rows (0) or places (1) one after the other, filled up to the same size."""
    places = max(piece.places_BP.shape[1] for piece in pieces)
    length = max(piece.ids_BPNL.shape[3] for piece in pieces)
    filled = [_filled(piece, places if dim == 0 else piece.places_BP.shape[1], length, end) for piece in pieces]
    return Thoughts(*(torch.cat(each, dim) for each in zip(*map(parts, filled), strict=True)))


def _filled(thoughts: Thoughts, places: int, length: int, end: int) -> Thoughts:
    """More tokens are dead; a thought that is not there is live as any is, since all have a last token."""
    wide = (0, 0, 0, 0, 0, places - thoughts.places_BP.shape[1])
    long = (0, length - thoughts.ids_BPNL.shape[3])
    return Thoughts(
        F.pad(thoughts.places_BP, wide[-2:], value=-1),
        F.pad(F.pad(thoughts.ids_BPNL, wide, value=end), long, value=end),
        F.pad(F.pad(thoughts.live_BPNL, wide, value=True), long),
        F.pad(F.pad(thoughts.chosen_BPNL, wide), long),
    )
