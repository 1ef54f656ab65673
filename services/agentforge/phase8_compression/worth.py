"""What a candidate is worth: bytes of its file, and what it answers when that file is read back."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.scoring import score_items
from agentforge.models.ternary.linear import frozen
from agentforge.train.evaluate import answer_nats, answers

FLAWED = -1.0  # nats of a candidate whose training diverged: no loss is below 0


@dataclass(frozen=True)
class Worth:
    """`right`: of each item, in the items' order."""

    bytes: int
    nats: float  # per answer token
    right: tuple[bool, ...]

    @property
    def flawed(self) -> bool:
        return self.nats == FLAWED

    @property
    def numbers(self) -> list[float]:
        return [float(self.bytes), self.nats, *map(float, self.right)]

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Worth:
        size, nats, *right = numbers
        return cls(int(size), nats, tuple(map(bool, right)))

    @classmethod
    def none(cls, items: Sequence[Item]) -> Worth:
        return cls(0, FLAWED, (False,) * len(items))


def worth_of(model: Any, codec: Codec, items: Sequence[Item], size: int, batch: int) -> Worth:
    with frozen(model):
        nats, count = answer_nats(model, codec, items, batch=batch)
        said = answers(model, codec, items, batch=batch)
    return Worth(size, nats / count, tuple(score_items(items, said)))


def families(items: Sequence[Item], right: Sequence[bool]) -> dict[str, float]:
    """Share of right answers, by family."""
    found: dict[str, list[bool]] = {}
    for item, one in zip(items, right, strict=True):
        found.setdefault(item.family, []).append(one)
    return {name: statistics.fmean(map(float, found[name])) for name in sorted(found)}


@dataclass(frozen=True)
class Kept:
    """A share of the input's accuracy, and the standard error of that share: items are answered in pairs."""

    share: float
    error: float

    def surely(self, margin: float) -> float:
        return self.share - margin * self.error


def kept(items: Sequence[Item], before: Sequence[bool], after: Sequence[bool]) -> tuple[Kept, dict[str, Kept]]:
    """Of the accuracy, as the mean over families has it; and of each family.

    A family that the input hardly answers says little by itself: its share is of few answers, and its error large.
    """
    rows: dict[str, list[tuple[float, float]]] = {}
    for item, one, other in zip(items, before, after, strict=True):
        rows.setdefault(item.family, []).append((float(one), float(other)))
    lost = {name: _lost(rows[name]) for name in sorted(rows)}
    accuracy = {name: statistics.fmean(one for one, _ in rows[name]) for name in lost}
    mean, count = statistics.fmean(accuracy.values()), len(lost)
    error = math.sqrt(sum(each.error**2 for each in lost.values())) / count
    whole = _kept(mean, statistics.fmean(each.share for each in lost.values()), error)
    return whole, {name: _kept(accuracy[name], each.share, each.error) for name, each in lost.items()}


def _lost(pairs: Sequence[tuple[float, float]]) -> Kept:
    """Accuracy lost, and its standard error."""
    lost = [one - other for one, other in pairs]
    error = statistics.stdev(lost) / math.sqrt(len(lost)) if len(lost) > 1 else 0.0
    return Kept(statistics.fmean(lost), error)


def _kept(before: float, lost: float, error: float) -> Kept:
    """Who never answered can lose nothing."""
    return Kept(1.0, 0.0) if before == 0 else Kept(1 - lost / before, error / before)


def told(items: Sequence[Item], worth: Worth, before: Worth) -> dict[str, Any]:
    """For pareto_front.json."""
    mean, each = kept(items, before.right, worth.right)
    return {
        "bytes": worth.bytes, "nats": worth.nats, "retention": mean.share, "retention_error": mean.error,
        "families": {name: one.share for name, one in each.items()},
    }  # fmt: skip
