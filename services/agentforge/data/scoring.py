"""Answers to numbers: exact accuracy per family, and bits per byte, which any two tokenizers may be compared by."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from agentforge.data.items import Item
from agentforge.data.tasks import FAMILIES
from agentforge.data.tasks.base import Family
from agentforge.kit.measure import Measurement


def score_items(
    items: Sequence[Item], outputs: Sequence[str], families: Mapping[str, Family] = FAMILIES
) -> list[bool]:
    """Right or wrong for each item. `outputs` are what was said after the prompts, special tokens kept."""
    return [families[item.family].score(item, output) for item, output in zip(items, outputs, strict=True)]


def accuracy(
    items: Sequence[Item],
    outputs: Sequence[str],
    *,
    prefix: str,
    by_difficulty: bool = False,
    step: int | None = None,
    families: Mapping[str, Family] = FAMILIES,
) -> list[Measurement]:
    """One measurement per family, `<prefix>/accuracy/<family>`, or per family and difficulty, `…/<difficulty>`."""
    groups: dict[tuple[str, int], list[float]] = defaultdict(list)
    for item, right in zip(items, score_items(items, outputs, families), strict=True):
        groups[item.family, item.difficulty if by_difficulty else 0].append(float(right))
    splits = ", ".join(sorted({item.split for item in items}))
    method = f"exact answers to generated items of the {splits} split"
    measurements = []
    for (name, difficulty), rights in sorted(groups.items()):
        full_name = f"{prefix}/accuracy/{name}" + (f"/{difficulty}" if by_difficulty else "")
        one = Measurement.of_samples(full_name, rights, "1", method)
        measurements.append(Measurement(one.name, one.value, one.unit, one.method, one.n, one.spread, step))
    return measurements


def bits_per_byte(
    nats: float, byte_count: int, *, name: str, method: str, n: int, step: int | None = None
) -> Measurement:
    """From the summed loss (nats) over all tokens of texts that have `byte_count` bytes together; `n` texts."""
    return Measurement(name, nats / math.log(2) / byte_count, "bit/By", method, n, None, step)
