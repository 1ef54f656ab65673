"""Held-out loss and answers with thoughts, without them, and with thoughts that cannot help."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count

import torch
from torch import Tensor

from agentforge.data import scoring
from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.kit.errors import InvalidInput
from agentforge.kit.measure import Measurement
from agentforge.kit.rng import Rng
from agentforge.models.thoughts.generate import Thoughts
from agentforge.models.thoughts.speak import speak
from agentforge.models.thoughts.thinker import Habits, Thinker
from agentforge.phase3_quietstar.heldout import (
    parts,
    readings,
    resting,
    rows_of,
    served,
    thoughts_of_all,
    trimmed,
)
from agentforge.phase3_quietstar.spoil import by_another_items, by_nothing, by_random_tokens
from agentforge.train.evaluate import ROOM, alike, answers

BATCH = 32
THRESHOLDS = (0.0, 0.05, 0.1, 0.2, 0.4)  # of difficulty; shares of the places would cut through places alike
HOWS = {
    "off": "the plain model",
    "on": "with thoughts",
    "random": "with random tokens for thoughts",
    "another": "with another item's thoughts",
    "nothing": "with empty thoughts",
}


def token_nats(
    thinker: Thinker, codec: Codec, items: Sequence[Item], how: str = "on", *, batch: int = BATCH
) -> list[Tensor]:
    """Loss in nats, float64, of each token that the model is to say, item by item."""
    _check(how)
    found = [torch.empty(0, dtype=torch.float64)] * len(items)
    with resting(thinker):
        thoughts = None
        if how != "off":
            thoughts = spoiled(thoughts_of_all(thinker, codec, items, batch), thinker, codec, how)
        for reading in readings(thinker, codec, items, batch):
            nats_BT = reading.nats_BT
            for some in served(thinker, reading, thoughts) if thoughts is not None else ():
                of_token_BPA = some.mean_BPAV.gather(-1, some.targets_BPA[..., None])[..., 0]
                row_X = some.counted_BPA.nonzero()[:, 0]
                nats_BT[row_X, some.column_BPA[some.counted_BPA]] = -of_token_BPA[some.counted_BPA].double()
            for row, item in enumerate(reading.items):
                found[item] = nats_BT[row, reading.said_BT[row]]
    return found


def _check(how: str) -> None:
    if how not in HOWS:
        message = f"thoughts {how!r} are none of {', '.join(HOWS)}"
        raise InvalidInput(message, reason="OUT_OF_RANGE", field="how")


def spoiled(thoughts: Thoughts, thinker: Thinker, codec: Codec, how: str) -> Thoughts:
    """Of all items, one row each."""
    if how == "another":
        return by_another_items(thoughts)
    if how == "nothing":
        return by_nothing(thoughts, thinker.marks)
    return _random(thoughts, thinker, codec) if how == "random" else thoughts


def _random(thoughts: Thoughts, thinker: Thinker, codec: Codec) -> Thoughts:
    """Item by item, so that one's tokens do not depend on how many or how long the others' are."""
    ids_BPNL = thoughts.ids_BPNL.clone()
    for row in range(len(ids_BPNL)):
        own = trimmed(Thoughts(*(each[row : row + 1] for each in parts(thoughts))))
        rng = Rng(thinker.habits.seed, "quietstar/spoil", row)
        drawn_1PNL = by_random_tokens(own, thinker.marks, codec.vocabulary, rng).ids_BPNL
        ids_BPNL[row, : drawn_1PNL.shape[1], :, : drawn_1PNL.shape[3]] = drawn_1PNL[0]
    return replace(thoughts, ids_BPNL=ids_BPNL)


def hardest(nats: Sequence[Tensor], share: float = 0.1) -> list[Tensor]:
    """Masks of this share of all tokens, those with the highest loss, the earlier of equals; at least one."""
    every = torch.cat(list(nats))
    chosen = torch.zeros_like(every, dtype=torch.bool)
    chosen[every.argsort(descending=True, stable=True)[: max(1, round(share * len(every)))]] = True
    return list(torch.split(chosen, [len(each) for each in nats]))


def mean_nats(nats: Sequence[Tensor], masks: Sequence[Tensor] | None = None) -> float:
    """Over tokens, not items."""
    return float(_chosen(nats, masks).mean())


def losses(who: str, nats: Sequence[Tensor], hard: Sequence[Tensor], how: str) -> list[Measurement]:
    """`hard`: of `hardest`, by the loss of the model that thoughts were put into. The spread is over tokens."""
    _check(how)
    every, of_these = sum(map(len, nats)), f"answer tokens of {len(nats):,} items of the test split, {HOWS[how]}"
    hard_method = f"mean over the {sum(int(each.sum()) for each in hard):,} hardest of {every:,} {of_these}"
    return [
        _measured(f"quietstar/{who}/loss", _chosen(nats, None), f"mean over {every:,} {of_these}"),
        _measured(f"quietstar/{who}/hard_loss", _chosen(nats, hard), hard_method),
    ]


def _measured(name: str, nats_X: Tensor, method: str) -> Measurement:
    return Measurement.of_samples(name, nats_X.tolist(), "nat", method)


def _chosen(nats: Sequence[Tensor], masks: Sequence[Tensor] | None) -> Tensor:
    every = torch.cat(list(nats))
    return every if masks is None else every[torch.cat(list(masks))]


def habits_that_pay(
    thinker: Thinker, codec: Codec, items: Sequence[Item], thresholds: Sequence[float] = THRESHOLDS
) -> tuple[Habits, list[dict[str, float | None]]]:
    """The threshold of lowest loss among none and these; and the loss of each."""
    every = [None, *thresholds]
    losses = [mean_nats(token_nats(with_threshold(thinker, each), codec, items, "on")) for each in every]
    best = losses.index(min(losses))  # the first of equals: never to think comes before all else
    table: list[dict[str, float | None]] = [
        {"threshold": threshold, "loss": loss} for threshold, loss in zip(every, losses, strict=True)
    ]
    return replace(thinker.habits, threshold=every[best]), table


def with_threshold(thinker: Thinker, threshold: float | None) -> Thinker:
    """The same model and head."""
    habits = replace(thinker.habits, threshold=threshold)
    return Thinker(thinker.model, thinker.marks, habits, thinker.head)


def accuracy(
    thinker: Thinker, codec: Codec, items: Sequence[Item], how: str, *, prefix: str, batch: int = BATCH
) -> list[Measurement]:
    """Exact greedy answers by family, `<prefix>/accuracy/<family>`."""
    _check(how)
    if how == "off":
        said = answers(thinker.model, codec, items)
    else:
        with resting(thinker):
            said = answers_with(thinker, codec, items, how, batch)
    found = scoring.accuracy(items, said, prefix=prefix)
    return [replace(each, method=f"{each.method}, {HOWS[how]}") for each in found]


def answers_with(thinker: Thinker, codec: Codec, items: Sequence[Item], how: str, batch: int) -> list[str]:
    prompts = [codec.prompt_ids(item.prefix + item.prompt) for item in items]
    rooms = [len(codec.ids(item.completion)) + ROOM for item in items]
    groups = list(alike([len(prompt) for prompt in prompts], min(batch, math.ceil(len(items) / 2))))
    if how == "another" and len(groups) < 2:
        raise _too_few()
    every = thoughts_of_all(thinker, codec, items, batch) if how == "another" else None
    said = [""] * len(items)
    for number, group in enumerate(groups):
        others = [place for other in (*groups[number + 1 :], *groups[:number]) for place in other]
        theirs = None if every is None else rows_of(every, torch.tensor(others))
        spoken = speak(
            thinker, [prompts[place] for place in group], [rooms[place] for place in group],
            eos=codec.eos, pad=codec.pad, rows=group, spoil=_spoil(thinker, codec, theirs, how, number),
        )  # fmt: skip
        for place, each in zip(group, spoken, strict=True):
            said[place] = codec.text(each.ids)
    return said


def _spoil(
    thinker: Thinker, codec: Codec, theirs: Thoughts | None, how: str, group: int
) -> Callable[[Thoughts], Thoughts] | None:
    """For thoughts that come a few at a time. `theirs`: those of the other groups at their right answers."""
    marks, times = thinker.marks, count()
    if theirs is not None:
        return exchanger(theirs)
    if how == "nothing":
        return lambda thoughts: by_nothing(thoughts, marks)
    if how == "random":
        rng = partial(Rng, thinker.habits.seed, "quietstar/spoil/spoken", group)
        return lambda thoughts: by_random_tokens(thoughts, marks, codec.vocabulary, rng(next(times)))
    return None


def _too_few() -> InvalidInput:
    message = "no other item has thoughts: there is none to exchange with"
    return InvalidInput(message, reason="TOO_FEW_ITEMS", field="items", next_step="Take more items.")


def exchanger(theirs: Thoughts) -> Callable[[Thoughts], Thoughts]:
    """Gives each place the thoughts of the next place of theirs, from the first again after the last."""
    row_X, place_X = (theirs.places_BP >= 0).nonzero(as_tuple=True)
    if not len(row_X):
        raise _too_few()
    start = 0

    def exchange(thoughts: Thoughts) -> Thoughts:
        nonlocal start
        next_BP = (start + torch.arange(thoughts.places_BP.numel())).view(thoughts.places_BP.shape) % len(row_X)
        start += thoughts.places_BP.numel()
        from_BP = row_X[next_BP], place_X[next_BP]
        return Thoughts(
            thoughts.places_BP, theirs.ids_BPNL[from_BP], theirs.live_BPNL[from_BP], theirs.chosen_BPNL[from_BP]
        )

    return exchange
