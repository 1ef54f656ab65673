"""Rows that teach the inner steps of a task, which answers alone teach slowly or not at all.

No other split is shown: an answer is only learned where the item that asks for it is in train.
Measured on the tiny model (docs/cognate.md): without its drill, recall stays at chance.
"""

from __future__ import annotations

import random
import re
import string
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, cast

import numpy as np

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.rows import IGNORED, Numbered, Row
from agentforge.data.splits import Split, split_of
from agentforge.data.tasks import FAMILIES
from agentforge.data.tasks.arithmetic import problem
from agentforge.data.tasks.nested import Nested, Operation
from agentforge.kit.rng import Rng

_NESTED = cast(Nested, FAMILIES["nested"])

_DRAWS = 10  # pairs in a row of the recall drill


class Drill(Numbered, ABC):
    """Labels inside a prompt stand at the place of the next token, which is another one; the loss does not mind."""

    name: ClassVar[str]
    family: ClassVar[str]

    def __init__(self, codec: Codec, difficulties: tuple[int, ...], seed: int) -> None:
        self.codec, self.difficulties, self.seed = codec, difficulties, seed
        self._digits = [codec.ids(digit)[0] for digit in string.digits]

    @abstractmethod
    def row(self, number: int) -> Row: ...


def drill(name: str, codec: Codec, difficulties: Callable[[str], tuple[int, ...]], seed: int) -> Drill:
    """`difficulties` of a family: those of its drill."""
    made = DRILLS[name]
    return made(codec, difficulties(made.family), seed)


class RecallDrill(Drill):
    """A few pairs, drawn again and again: "Q: l0l j8j l0l j8j"; every second row without the key's echo.

    The echo teaches a value to know the key before it; the repetition, to look a key up. Recall needs both, and
    dense labels teach both within a hundred steps.
    """

    name, family = "recall_drill", "recall"

    def row(self, number: int) -> Row:
        rng = Rng(self.seed, f"data/{self.name}", number).python()
        facts = _facts(rng, min(rng.choice(self.difficulties), 26))
        ids = self.codec.ids("Q:")
        labels = [IGNORED] * len(ids)
        seen: dict[str, str] = {}
        for _ in range(_DRAWS):
            name = rng.choice(sorted(facts))
            learned = name in seen and split_of(recall_key(name, seen)) is Split.TRAIN
            seen[name] = facts[name]
            key_ids, value_ids = self.codec.ids(f" {name}"), self.codec.ids(facts[name])
            ids += key_ids + value_ids
            labels += [IGNORED] * len(key_ids) + (value_ids if learned else [IGNORED] * len(value_ids))
            if number % 2 == 0:
                ids += key_ids
                labels += key_ids
        return Row(np.array(ids, np.int64), np.array(labels, np.int64))


class NestedDrill(Drill):
    """Nested expressions in which every number has the value so far as label: in ((3+4)*2) mod 5 "3 2 4"."""

    name, family = "nested_drill", "nested"

    def row(self, number: int) -> Row:
        rng = Rng(self.seed, f"data/{self.name}", number).python()
        start, operations = self._problem(rng)
        items = [_NESTED.item(start, operations[: depth + 1]) for depth in range(len(operations))]
        values = [(str(start), True)] + [(item.answer, item.split is Split.TRAIN) for item in items]
        ids = self.codec.ids(items[-1].prompt)
        answer = [*self.codec.ids(items[-1].completion), self.codec.eos]
        labels = [IGNORED] * len(ids) + (answer if values[-1][1] else [IGNORED] * len(answer))
        numbers = [place for place, token in enumerate(ids) if token in self._digits]
        for place, (value, learned) in zip(numbers, values, strict=False):  # the last number is the modulus
            if learned:
                labels[place + 1] = self.codec.ids(value)[0]
        return Row(np.array(ids + answer, np.int64), np.array(labels, np.int64))

    def _problem(self, rng: random.Random) -> tuple[int, list[Operation]]:
        return _NESTED.problem(rng, rng.choice(self.difficulties))


class NestedEasyDrill(NestedDrill):
    """The same; in half of the rows the first value is the second number itself: ((0+4)*2) or ((1*4)*2).

    So what an outer sign does is learned from a number that can be read, before values must be handed on. Never of
    depth 1 where there are others.
    """

    name = "nested_easy_drill"

    def _problem(self, rng: random.Random) -> tuple[int, list[Operation]]:
        depths = [depth for depth in self.difficulties if depth > 1] or self.difficulties
        start, operations = _NESTED.problem(rng, rng.choice(depths))
        if rng.random() < 0.5:
            sign, number, left = operations[0]
            start, operations[0] = (1, operations[0]) if sign == "*" else (0, ("+", number, left))
        return start, operations


class ArithmeticDrill(Drill):
    """Sums with what leads to them as labels. Behind each digit of the second number stands the last digit of its
    column's own sum; behind the number, the carry of the units; then the answer's digits from the tens upwards, as
    far as there are tokens before the answer: in 54 + 68 = A: 122 "1 2", then "1 2".

    A column's digit is shown where the item that asks for this sum of two digits is in train.
    """

    name, family = "arithmetic_drill", "arithmetic"

    def __init__(self, codec: Codec, difficulties: tuple[int, ...], seed: int) -> None:
        super().__init__(codec, difficulties, seed)
        self.items = ItemStream(self.family, Split.TRAIN, Rng(seed, f"data/{self.name}").seed, difficulties)

    def row(self, number: int) -> Row:
        item = self.items.item(number)
        ids = self.codec.ids(item.prompt)
        answer = [*self.codec.ids(item.completion), self.codec.eos]
        labels = [IGNORED] * len(ids)
        left, right = re.findall(r"\d+", item.prompt)
        end = max(place for place, token in enumerate(ids) if token in self._digits)
        if len(right) == max(self.difficulties):  # of a shorter one it cannot be known which column a digit is of
            for power in range(len(right)):
                labels[end + 1 - power] = self._column(left, right, power)
        carry = int(int(left[-1]) + int(right[-1]) > 9)
        upwards = str(int(left) + int(right)).zfill(len(ids))[-2::-1]
        tail = [self._digits[carry], *(self._digits[int(digit)] for digit in upwards)]
        labels[end + 2 :] = tail[: len(ids) - end - 2]
        return Row(np.array(ids + answer, np.int64), np.array(labels + answer, np.int64))

    def _column(self, left: str, right: str, power: int) -> int:
        a, b = (int(each) // 10**power % 10 for each in (left, right))
        _, result, key = problem(a, "+", b)
        return self._digits[result % 10] if split_of(key) is Split.TRAIN else IGNORED


DRILLS: dict[str, type[Drill]] = {
    made.name: made for made in (RecallDrill, NestedDrill, NestedEasyDrill, ArithmeticDrill)
}


def recall_key(asked: str, facts: dict[str, str]) -> str:
    """What the recall family's split hashes."""
    return f"recall {asked} in " + " ".join(sorted(name + value for name, value in facts.items()))


def _facts(rng: random.Random, count: int) -> dict[str, str]:
    return {name: str(rng.randrange(10)) for name in rng.sample(string.ascii_lowercase, count)}
