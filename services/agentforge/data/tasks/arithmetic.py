"""Arithmetic on whole numbers, with worked steps where asked."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from agentforge.data.items import ANSWER_CUE, STEPS_CUE, Item
from agentforge.data.tasks.base import Family


def problem(left: int, sign: str, right: int) -> tuple[str, int, str]:
    """(text, result, key). The key is shared by every family that asks this, and by both orders of + and *."""
    if sign == "-":
        left, right = max(left, right), min(left, right)  # results stay natural numbers
        return f"{left} - {right}", left - right, f"{left} - {right}"
    low, high = min(left, right), max(left, right)
    result = left + right if sign == "+" else left * right
    return f"{left} {sign} {right}", result, f"{low} {sign} {high}"


def worked_sum(left: int, right: int) -> str:
    """Column addition from the right: "5 + 7 = 12 ; 2 + 1 + 1 = 4", the carry named where there is one."""
    steps, carry = [], 0
    for place in range(max(len(str(left)), len(str(right)))):
        a, b = left // 10**place % 10, right // 10**place % 10
        total = a + b + carry
        steps.append(f"{a} + {b}{f' + {carry}' if carry else ''} = {total}")
        carry = total // 10
    return " ; ".join(steps)


@dataclass(frozen=True)
class Arithmetic(Family):
    """Operands of up to `difficulty` digits: 0-9, 0-99, 0-999. Worked steps are for sums."""

    signs: tuple[str, ...] = ("+",)
    steps: bool = False

    def draw(self, rng: random.Random, difficulty: int) -> Item:
        top = 10**difficulty
        return self._item(rng.randrange(top), rng.choice(self.signs), rng.randrange(top), difficulty)

    def size(self, difficulty: int) -> int | None:
        # Of - only ordered pairs are different items.
        top: int = 10**difficulty
        return sum(top * (top + 1) // 2 if sign == "-" else top * top for sign in self.signs)

    def space(self, difficulty: int) -> Iterator[Item]:
        top = 10**difficulty
        for sign in self.signs:
            for left in range(top):
                for right in range(left + 1 if sign == "-" else top):
                    yield self._item(left, sign, right, difficulty)

    def _item(self, left: int, sign: str, right: int, difficulty: int) -> Item:
        text, result, key = problem(left, sign, right)
        cue = STEPS_CUE if self.steps else ANSWER_CUE
        scratchpad = worked_sum(left, right) if self.steps else ""
        return Item(self.name, f"Q: {text} = {cue}", str(result), difficulty, scratchpad, key=key)
