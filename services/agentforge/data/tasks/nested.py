"""Problems whose depth varies: nested expressions (for halting) and chained sums (for thoughts), with a modulus."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentforge.data.items import ANSWER_CUE, STEPS_CUE, Item
from agentforge.data.tasks.base import Family

_MOST_LISTED = 100_000


@dataclass(frozen=True)
class Nested(Family):
    """`difficulty` operations, innermost first: ((3+4)*2) mod 5. Sums and products do not commute with each other,
    so depth cannot be folded into one flat sum. Written tight: a sign and its bracket are one token, no spaces."""

    modulus: int = 5
    signs: str = "+-*"

    def draw(self, rng: random.Random, difficulty: int) -> Item:
        operations = self._operations()
        return self._item(rng.randrange(self.modulus), [rng.choice(operations) for _ in range(difficulty)])

    def size(self, difficulty: int) -> int | None:
        size: int = self.modulus * len(self._operations()) ** difficulty
        return size if size <= _MOST_LISTED else None

    def space(self, difficulty: int) -> Iterator[Item]:
        for start in range(self.modulus):
            for operations in itertools.product(self._operations(), repeat=difficulty):
                yield self._item(start, operations)

    def _operations(self) -> list[tuple[str, int]]:
        """Everything that changes something: not + 0, not * 1, and not * 0, which would forget what came before."""
        return [(sign, number) for sign in self.signs for number in range(2 if sign == "*" else 1, self.modulus)]

    def _item(self, start: int, operations: Sequence[tuple[str, int]]) -> Item:
        text, value = str(start), start
        for depth, (sign, number) in enumerate(operations):
            text = f"{f'({text})' if depth else text}{sign}{number}"
            value = {"+": value + number, "-": value - number, "*": value * number}[sign] % self.modulus
        prompt = f"Q: ({text}) mod {self.modulus} = {ANSWER_CUE}"
        return Item(self.name, prompt, str(value), len(operations))


@dataclass(frozen=True)
class Chain(Family):
    """A sum of `difficulty` digits modulo 10, with the running totals as worked steps where asked."""

    steps: bool = False
    modulus: int = 10

    def draw(self, rng: random.Random, difficulty: int) -> Item:
        return self._item([rng.randrange(10) for _ in range(difficulty)])

    def size(self, difficulty: int) -> int | None:
        return 10**difficulty if 10**difficulty <= _MOST_LISTED else None

    def space(self, difficulty: int) -> Iterator[Item]:
        for numbers in itertools.product(range(10), repeat=difficulty):
            yield self._item(numbers)

    def _item(self, numbers: Sequence[int]) -> Item:
        totals = [total % self.modulus for total in itertools.accumulate(numbers)]
        pairs = zip(totals, numbers[1:], totals[1:], strict=False)
        scratchpad = " ; ".join(f"{a} + {b} = {total}" for a, b, total in pairs) if self.steps else ""
        cue = STEPS_CUE if self.steps else ANSWER_CUE
        prompt = f"Q: {' + '.join(map(str, numbers))} mod {self.modulus} = {cue}"
        key = (
            f"{' + '.join(map(str, sorted(numbers)))} mod {self.modulus}"  # order does not make it another problem
        )
        return Item(self.name, prompt, str(totals[-1]), len(numbers), scratchpad, key=key)
