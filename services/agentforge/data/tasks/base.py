"""What a family of tasks is: a way to draw questions of a given difficulty, and an exact scorer."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from agentforge.data.items import Item, answer_in


@dataclass(frozen=True)
class Family(ABC):
    """`difficulties` are allowed; `starter` are those a model of the tiny preset can learn."""

    name: str
    summary: str
    knob: str  # what difficulty means here
    difficulties: range
    starter: tuple[int, ...]

    @abstractmethod
    def draw(self, rng: random.Random, difficulty: int) -> Item:
        """One item; nothing but `rng` and `difficulty` decides which."""

    def size(self, difficulty: int) -> int | None:
        """How many different items there are, where they can be listed; None where there are too many."""
        return None

    def space(self, difficulty: int) -> Iterator[Item]:
        """All items of a difficulty, for families that have a size."""
        raise NotImplementedError(f"{self.name} cannot be listed")

    def score(self, item: Item, output: str) -> bool:
        """Whether `output`, all that a model said after the prompt, is right."""
        return answer_in(output) == item.answer

    def example(self) -> Item:
        """The same example in every document and on every machine."""
        return self.draw(random.Random(self.name), self.starter[-1])  # noqa: S311 - reproducible, not secret
