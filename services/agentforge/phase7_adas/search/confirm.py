"""The second opinion: the best of the front are asked items that nobody has been chosen by, and held to them.

The luckiest of many candidates looks better than it is on the items that it was chosen by. So the choice is made by
other items of the selection split, by pairs: what one item lost is not noise of which items were asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, variance
from typing import Any, TypeVar

from agentforge.data.items import Item
from agentforge.kit.errors import InvalidInput

_T = TypeVar("_T")


@dataclass(frozen=True)
class Verdict:
    """What one model said to the fresh items."""

    right: str  # of each item in order: 1 where the answer was right, else 0
    nats: float  # per answer token

    @property
    def numbers(self) -> list[float]:
        """For the wire between ranks."""
        return [self.nats, *map(float, self.right)]

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Verdict:
        return cls("".join(str(int(one)) for one in numbers[1:]), numbers[0])

    def accuracy(self, items: Sequence[Item]) -> float:
        """Mean over families."""
        return fmean(map(fmean, _by_family(items, [float(one) for one in self.right]).values()))


@dataclass(frozen=True)
class Loss:
    """Of accuracy, mean over families, and of nats. Below 0: a gain."""

    accuracy: float
    error: float  # standard error of the accuracy's, over items; 0: it is not known
    nats: float

    @property
    def record(self) -> dict[str, Any]:
        return asdict(self)


def loss_between(before: Verdict, after: Verdict, items: Sequence[Item]) -> Loss:
    """Item by item."""
    lost = [float(a) - float(b) for a, b in zip(before.right, after.right, strict=True)]
    families = _by_family(items, lost).values()
    squares = [variance(values) / len(values) for values in families]
    error = math.sqrt(sum(squares)) / len(squares)
    return Loss(fmean(map(fmean, families)), error, after.nats - before.nats)


def parted(items: Sequence[Item], first: int) -> tuple[list[Item], list[Item]]:
    """Of each family so many, but half of them at most; and the rest, without other forms of the first ones."""
    firsts: list[Item] = []
    rest: list[Item] = []
    for name, whole in _by_family(items, items).items():
        own = whole[: min(first, len(whole) // 2)]
        seen = {item.canonical for item in own}
        others = [item for item in whole[len(own) :] if item.canonical not in seen]
        if not own or len(others) < 2:
            message = f"{name} has {len(whole)} items in the selection split: too few to choose and to confirm"
            step = "Take higher difficulties."
            raise InvalidInput(message, reason="TOO_FEW_ITEMS", field=f"data.families.{name}", next_step=step)
        firsts, rest = firsts + own, rest + others
    return firsts, rest


def _by_family(items: Sequence[Item], values: Sequence[_T]) -> dict[str, list[_T]]:
    found: dict[str, list[_T]] = {}
    for item, value in zip(items, values, strict=True):
        found.setdefault(item.family, []).append(value)
    return found
