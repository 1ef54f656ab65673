"""Problems whose depth varies: nested expressions (for halting) and chained sums (for thoughts), with a modulus."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentforge.data.items import ANSWER_CUE, STEPS_CUE, Item
from agentforge.data.tasks.base import Family

_MOST_LISTED = 100_000


Operation = tuple[str, int, bool]
"""(sign, number, whether the number stands on the left)"""


@dataclass(frozen=True)
class Nested(Family):
    """`difficulty` operations, innermost first: ((3+4)*2) mod 5. Sums and products do not commute with each other,
    so depth cannot be folded into one flat sum. Written tight: a sign and its bracket are one token, no spaces.

    With `sides`, an outer number may stand on the left, (2*(3+4)): it is then read before what it is applied to,
    so a model that reads from left to right must keep it for later. With `steps`, every operation is worked out.
    """

    sides: bool = False
    steps: bool = False
    modulus: int = 5
    signs: str = "+-*"

    def draw(self, rng: random.Random, difficulty: int) -> Item:
        return self.item(*self.problem(rng, difficulty))

    def size(self, difficulty: int) -> int | None:
        size: int = self.modulus
        for depth in range(difficulty):
            size *= len(self._operations(depth))
        return size if size <= _MOST_LISTED else None

    def space(self, difficulty: int) -> Iterator[Item]:
        choices = [self._operations(depth) for depth in range(difficulty)]
        for start in range(self.modulus):
            for operations in itertools.product(*choices):
                yield self.item(start, operations)

    def problem(self, rng: random.Random, difficulty: int) -> tuple[int, list[Operation]]:
        """The first number, and what is done to it."""
        operations = [rng.choice(self._operations(depth)) for depth in range(difficulty)]
        return rng.randrange(self.modulus), operations

    def _operations(self, depth: int) -> list[Operation]:
        """Everything that changes something: not + 0, not * 1, and not * 0, which would forget what came before."""
        sides = (False, True) if self.sides and depth > 0 else (False,)
        least = {sign: 2 if sign == "*" else 1 for sign in self.signs}
        return [
            (sign, number, left)
            for sign in self.signs
            for number in range(least[sign], self.modulus)
            for left in sides
        ]

    def item(self, start: int, operations: Sequence[Operation]) -> Item:
        text, key, value = str(start), str(start), start
        worked: list[str] = []
        for depth, (sign, number, left) in enumerate(operations):
            inner, inner_key = (f"({text})", f"({key})") if depth else (text, key)
            text = f"{number}{sign}{inner}" if left else f"{inner}{sign}{number}"
            key = f"{number}-{inner_key}" if left and sign == "-" else f"{inner_key}{sign}{number}"
            a, b = (number, value) if left else (value, number)
            value = {"+": a + b, "-": a - b, "*": a * b}[sign] % self.modulus
            worked.append(f"{a}{sign}{b}={value}")
        prompt = f"Q: ({text}) mod {self.modulus} = {STEPS_CUE if self.steps else ANSWER_CUE}"
        scratchpad = ";".join(worked) if self.steps else ""
        key = f"({key}) mod {self.modulus}"
        return Item(self.name, prompt, str(value), len(operations), scratchpad, key=key)


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
