"""Worked rows: items whose steps are known, told as a thought instead of before the answer. Without torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from agentforge.data.codec import Codec
from agentforge.data.items import ANSWER_CUE, STEPS_CUE, Item
from agentforge.data.rows import IGNORED, Items, Numbered, Row
from agentforge.data.tasks import FAMILIES
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng

if TYPE_CHECKING:
    from agentforge.models.thoughts.tokens import Marks


def _is_worked(item: Item) -> bool:
    return bool(item.scratchpad) and item.prompt.endswith(STEPS_CUE)


def _no_steps(name: str) -> InvalidInput:
    known = ", ".join(name for name, each in FAMILIES.items() if _is_worked(each.example()))
    message = f"the items of {name} have no worked steps to be thought"
    return InvalidInput(message, reason="NO_WORKED_STEPS", field=name, next_step=f"Take some of {known}.")


class ThoughtRows(Numbered):
    """The plain question and answer; before one of the answer's tokens, any of them, a thought: the worked steps.

    Learned are what the model says itself: the thought with its end mark, the answer, eos. That a thought begins
    is not its choice. `length`: the most tokens of a whole row; `longest`: of a thought, between its marks.
    """

    def __init__(self, items: Items, codec: Codec, marks: Marks, length: int, longest: int, seed: int) -> None:
        self.items, self.codec, self.marks = items, codec, marks
        self.length, self.longest, self.seed = length, longest, seed
        self.name = f"{items.name}/thought"

    def row(self, number: int) -> Row:
        item = self.items.item(number)
        thought = self._thought(item)
        plain = replace(item, prompt=item.prompt.removesuffix(STEPS_CUE) + ANSWER_CUE, scratchpad="")
        ids, learned = self.codec.item_ids(plain)
        if len(ids) + len(thought) > self.length:
            tokens = f"{len(ids)} tokens and a thought of {len(thought)}"
            message = f"{item.family}: an item has {tokens}, a row {self.length}: {item.text[:60]!r}…"
            step = "Take longer rows or a lower difficulty."
            raise InvalidInput(message, reason="ITEM_TOO_LONG", field="length", next_step=step)
        answers = range(learned.index(True), len(ids) - 1)  # all but eos
        place = Rng(self.seed, "quietstar/worked", number).python().choice(answers)
        ids[place:place] = thought
        learned[place:place] = [False, *[True] * (len(thought) - 1)]
        row_ids = np.array(ids, np.int64)
        return Row(row_ids, np.where(learned, row_ids, IGNORED))

    def _thought(self, item: Item) -> list[int]:
        """With both marks."""
        if not _is_worked(item):
            raise _no_steps(item.family)
        steps = self.codec.ids(f" {item.scratchpad}")
        if len(steps) > self.longest:
            message = (
                f"{item.family}: the steps have {len(steps)} tokens, a thought {self.longest}: {item.text[:60]!r}…"
            )
            step = "Take longer thoughts or a lower difficulty."
            raise InvalidInput(message, reason="THOUGHT_TOO_LONG", field="sampling.length", next_step=step)
        return [self.marks.start, *steps, self.marks.end]
