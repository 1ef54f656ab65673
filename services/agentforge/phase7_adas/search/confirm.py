"""The second opinion: the best of the front are asked items that nobody has been chosen by, and held to them.

The luckiest of many candidates looks better than it is on the items that it was chosen by. So the choice is made by
other items of the selection split, by pairs: what one item lost is not noise of which items were asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, variance
from typing import Any

from agentforge.data.items import Item
from agentforge.shrink.second import by_family


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
        return fmean(map(fmean, by_family(items, [float(one) for one in self.right]).values()))


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
    families = by_family(items, lost).values()
    squares = [variance(values) / len(values) for values in families]
    error = math.sqrt(sum(squares)) / len(squares)
    return Loss(fmean(map(fmean, families)), error, after.nats - before.nats)
