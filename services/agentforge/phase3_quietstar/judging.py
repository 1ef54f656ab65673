"""Three candidates on held-out items: the model as it came, trained without thoughts, trained with them.

The selection split decides when thoughts pay and which candidate is kept; every number told is of the test split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from torch import Tensor

from agentforge.data.generate import items_by_family
from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.kit.audience import Audience
from agentforge.kit.errors import InvalidInput
from agentforge.kit.measure import Measurement
from agentforge.models.thoughts.thinker import Habits, Thinker
from agentforge.phase3_quietstar.evaluation import (
    accuracy,
    habits_that_pay,
    hardest,
    losses,
    mean_nats,
    token_nats,
    with_threshold,
)
from agentforge.phase3_quietstar.start import Start
from agentforge.phase3_quietstar.usefulness import what_changed

INPUT, THOUGHTLESS, THINKING = "input", "thoughtless", "thinking"
SPOILED = ("random", "another", "nothing")


@dataclass(frozen=True)
class Candidates:
    input: Thinker
    thoughtless: Thinker
    thinking: Thinker


@dataclass(frozen=True)
class Judged:
    kept: str
    thinker: Thinker  # the one that is kept, with its habits
    selection: dict[str, Any]  # what decided
    measured: list[Measurement]
    items: list[Item]  # of the test split


def judge(context: Audience, start: Start, candidates: Candidates) -> Judged:
    config = start.config
    selection = items_of(start, Split.SELECTION, config.evaluation.items)
    context.progress(0, 2, "splits", "selection")
    habits, table = habits_that_pay(candidates.thinking, start.codec, selection)
    thinkers = {
        INPUT: candidates.input,
        THOUGHTLESS: with_threshold(candidates.thoughtless, None),
        THINKING: with_threshold(candidates.thinking, habits.threshold),
    }
    standings = {name: _standing(start, each, selection) for name, each in thinkers.items()}
    context.check_stop()
    context.progress(1, 2, "splits", "test")
    test = items_of(start, Split.TEST, config.evaluation.test_items)
    always = most_useful(habits, table)
    thinking = with_threshold(candidates.thinking, always)
    measured = numbers_of(start, candidates, thinking, test, context.log)
    best = max(standings, key=lambda name: (standings[name]["accuracy"], -standings[name]["loss"]))
    kept = THINKING if config.keep == "thinking" else best
    return Judged(kept, thinkers[kept], {**standings, "thresholds": table, "kept": kept}, measured, test)


def _standing(start: Start, thinker: Thinker, items: Sequence[Item]) -> dict[str, float]:
    """By its own habits: exact answers, mean over families, and loss."""
    how, batch = "off" if thinker.habits.threshold is None else "on", start.config.evaluation.batch
    right = accuracy(thinker, start.codec, items, how, prefix="selection", batch=batch)
    nats = mean_nats(token_nats(thinker, start.codec, items, how, batch=batch))
    return {"accuracy": fmean(one.value for one in right), "loss": nats}


def items_of(start: Start, split: Split, count: int) -> list[Item]:
    data = start.config.data
    found = items_by_family(data.families, split, count, start.config.seed, field="data.families")
    return [item for each in found.values() for item in each]


def most_useful(habits: Habits, table: Sequence[dict[str, float | None]]) -> float:
    """The best threshold at which it thinks at all: what thoughts do is measured also where they do not pay."""
    if habits.threshold is not None:
        return habits.threshold
    thinking = [row for row in table if row["threshold"] is not None]
    found = min(thinking, key=lambda row: row["loss"] or 0.0)["threshold"]
    assert found is not None
    return found


def numbers_of(
    start: Start,
    candidates: Candidates,
    thinking: Thinker,
    test: Sequence[Item],
    log: Callable[[str], None],
) -> list[Measurement]:
    """Loss, loss of the tokens that were hardest for the model as it came, and exact answers."""
    codec, batch = start.codec, start.config.evaluation.batch
    came = "off" if candidates.input.habits.threshold is None else "on"
    before = token_nats(candidates.input, codec, test, came, batch=batch)
    hard = hardest(before)
    found = _numbers(start, INPUT, candidates.input, came, before, hard, test)
    ways = [
        (THOUGHTLESS, candidates.thoughtless, "off"),
        (THINKING, thinking, "on"),
        ("thinking_off", thinking, "off"),
    ]
    for who, thinker, how in ways:
        nats = token_nats(thinker, codec, test, how, batch=batch)
        found += _numbers(start, who, thinker, how, nats, hard, test)
    for how in SPOILED:
        with _told_if_too_few(how, log):
            nats = token_nats(thinking, codec, test, how, batch=batch)
            if how == "another":
                found += _numbers(start, how, thinking, how, nats, hard, test)
            else:
                found += losses(how, nats, hard, how)
    with _told_if_too_few("predictions", log):
        found += what_changed(thinking, codec, test)
    return found


@contextmanager
def _told_if_too_few(what: str, log: Callable[[str], None]) -> Iterator[None]:
    """Where (almost) no place of this split is hard enough for a thought, there is no number, and no failure."""
    try:
        yield
    except InvalidInput as error:
        if error.reason not in ("TOO_FEW_ITEMS", "NO_THOUGHTS"):
            raise
        log(f"quietstar/{what} is not measured: {error.message}")


def _numbers(
    start: Start,
    who: str,
    thinker: Thinker,
    how: str,
    nats: Sequence[Tensor],
    hard: Sequence[Tensor],
    test: Sequence[Item],
) -> list[Measurement]:
    right = accuracy(
        thinker, start.codec, test, how, prefix=f"quietstar/{who}", batch=start.config.evaluation.batch
    )
    return [*losses(who, nats, hard, how), *right]
