"""Who is beaten by nobody, and who is chosen for what was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentforge.data.items import Item
from agentforge.kit.errors import FailedPrecondition
from agentforge.phase8_compression.configs.search import TargetConfig
from agentforge.phase8_compression.worth import Kept, Worth, kept
from agentforge.shrink.pareto import dominates


@dataclass(frozen=True)
class Judged:
    """A candidate of the front, on the items that none had seen."""

    number: int
    bytes: int
    mean: Kept
    families: Mapping[str, Kept]

    @classmethod
    def of(cls, number: int, items: Sequence[Item], before: Worth, after: Worth) -> Judged:
        return cls(number, after.bytes, *kept(items, before.right, after.right))

    def surely(self, margin: float) -> float:
        """What it keeps of the family that loses most, and of all; noise held against it only in the mean."""
        worst = min(one.share + margin * one.error for one in self.families.values())
        return min(self.mean.surely(margin), worst)


def front(worths: Mapping[int, Worth]) -> list[int]:
    """Numbers, from the most right answers on; equal ones by the loss are not thrown away."""
    points = {
        number: (-sum(one.right) / len(one.right), one.nats, float(one.bytes))
        for number, one in worths.items()
        if not one.flawed
    }
    free = [one for one in points if not any(dominates(points[other], points[one]) for other in points)]
    return sorted(free, key=lambda number: (*points[number], number))


def choose(judged: Sequence[Judged], target: TargetConfig, whole_bytes: int) -> Judged:
    """`whole_bytes`: of the input in float32."""
    if not judged:
        message = "the training of every candidate diverged: there is nothing to choose from"
        step = "Lower healing.lr and healing.muon_lr."
        raise FailedPrecondition(message, reason="ALL_DIVERGED", field="healing", next_step=step)
    small = [one for one in judged if target.max_bytes is None or one.bytes <= target.max_bytes]
    if not small:
        raise _too_large(min(judged, key=lambda one: one.bytes), target)
    least = target.min_retention
    good = [one for one in small if least is None or one.surely(target.margin) >= least]
    if not good:
        raise _too_bad(max(small, key=lambda one: (one.surely(target.margin), -one.bytes)), target)
    if target.max_bytes is not None:
        return max(good, key=lambda one: (one.mean.share, -one.bytes, -one.number))
    if least is not None:
        return min(good, key=lambda one: (one.bytes, one.number))
    weights = target.weights

    def score(one: Judged) -> float:
        return weights.ratio * (1 - one.bytes / whole_bytes) + weights.retention * one.mean.share

    return max(good, key=lambda one: (score(one), -one.number))


def _too_large(nearest: Judged, target: TargetConfig) -> FailedPrecondition:
    message = (
        f"no candidate is as small as {target.max_bytes:,} bytes; the nearest, number {nearest.number}, "
        f"has {nearest.bytes:,} and keeps {nearest.mean.share:.1%} of the accuracy"
    )
    step = f"Ask for {nearest.bytes:,}, allow smaller codecs or vocabularies in space, or take a student."
    return FailedPrecondition(message, reason="TARGET_NOT_REACHED", field="target.max_bytes", next_step=step)


def _too_bad(nearest: Judged, target: TargetConfig) -> FailedPrecondition:
    assert target.min_retention is not None
    worst = min(nearest.families, key=lambda name: nearest.families[name].share)
    message = (
        f"no candidate keeps {target.min_retention:.1%} of the accuracy; the nearest, number {nearest.number}, "
        f"keeps {nearest.mean.share:.1%} ± {nearest.mean.error:.1%} ({worst}: "
        f"{nearest.families[worst].share:.1%}) at {nearest.bytes:,} bytes"
    )
    step = f"Ask for {max(0.01, nearest.surely(target.margin)):.3f}, allow more bytes, or heal for longer."
    return FailedPrecondition(message, reason="TARGET_NOT_REACHED", field="target.min_retention", next_step=step)
