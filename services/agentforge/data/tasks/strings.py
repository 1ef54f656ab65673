"""Copying, reversing, sorting and editing strings of letters, written with spaces so that letters are tokens."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from agentforge.data.items import ANSWER_CUE, Item
from agentforge.data.tasks.base import Family

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_MOST_LISTED = 100_000


@dataclass(frozen=True)
class Rearrange(Family):
    """`difficulty` is the number of letters; `verb` is copy, reverse or sort."""

    verb: str = "copy"

    def draw(self, rng: random.Random, difficulty: int) -> Item:
        return self._item("".join(rng.choices(_LETTERS, k=difficulty)))

    def size(self, difficulty: int) -> int | None:
        size: int = len(_LETTERS) ** difficulty
        return size if size <= _MOST_LISTED else None

    def space(self, difficulty: int) -> Iterator[Item]:
        for letters in product(_LETTERS, repeat=difficulty):
            yield self._item("".join(letters))

    def _item(self, letters: str) -> Item:
        made = {"copy": letters, "reverse": letters[::-1], "sort": "".join(sorted(letters))}[self.verb]
        return Item(self.name, f"Q: {self.verb} {_spaced(letters)} {ANSWER_CUE}", _spaced(made), len(letters))


@dataclass(frozen=True)
class Edit(Family):
    """`difficulty` is the number of letters; all occurrences of one letter are replaced, deleted or doubled."""

    def draw(self, rng: random.Random, difficulty: int) -> Item:
        letters = rng.choices(_LETTERS, k=difficulty)
        old = rng.choice(letters)
        new = rng.choice([letter for letter in _LETTERS if letter != old])
        order, made = rng.choice(
            [
                (f"replace {old} by {new}", [new if letter == old else letter for letter in letters]),
                (f"delete {old}", [letter for letter in letters if letter != old]),
                (f"double {old}", [letter for each in letters for letter in [each] * (2 if each == old else 1)]),
            ]
        )
        answer = _spaced("".join(made)) or "nothing"
        return Item(self.name, f"Q: {order} in {_spaced(''.join(letters))} {ANSWER_CUE}", answer, difficulty)


def _spaced(letters: str) -> str:
    return " ".join(letters)
