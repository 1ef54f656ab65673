"""The chosen model against the input, on the test split, which no part of the search has seen."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.scoring import score_items
from agentforge.kit.measure import Measurement
from agentforge.models.ternary.linear import frozen
from agentforge.phase7_adas.search.heal import Start
from agentforge.phase7_adas.search.search import Found
from agentforge.train.evaluate import answers, item_loss
from agentforge.train.judging import accuracies

_PREFIX = "adas/search/test"
_NOISE = 1.645  # standard errors: what chance alone loses in one of twenty comparisons


def tested(start: Start, found: Found, items: Sequence[Item], batch: int) -> list[Measurement]:
    """Loss and exact answers of both; what is lost, item by item; and whether the choice dominates the input."""
    before, right_before = _numbers("input", start.model, start.codec, items, batch)
    after, right_after = _numbers("chosen", found.model, start.codec, items, batch)
    lost = [float(a) - float(b) for a, b in zip(right_before, right_after, strict=True)]
    error = statistics.stdev(lost) / math.sqrt(len(lost))
    method = f"answers right before minus right after, mean over {len(items):,} items of the test split"
    difference = Measurement(
        f"{_PREFIX}/lost", statistics.fmean(lost), "1", f"{method}; spread: its standard error", len(items), error
    )
    return [*before, *after, difference, _dominates(found, difference)]


def _numbers(
    who: str, model: Any, codec: Codec, items: Sequence[Item], batch: int
) -> tuple[list[Measurement], list[bool]]:
    with frozen(model):
        loss = item_loss(model, codec, items, name=f"{_PREFIX}/{who}/loss", batch=batch)
        said = answers(model, codec, items, batch=batch)
    return [loss, *accuracies(items, said, f"{_PREFIX}/{who}")], score_items(items, said)


def _dominates(found: Found, lost: Measurement) -> Measurement:
    """1 where it is smaller, counted and timed faster, and loses no more than noise; else 0."""
    shares = {one.name.removeprefix("adas/search/chosen/"): one.value for one in found.measured}
    less = all(shares[name] < 1 for name in ("parameters", "bytes", "flops", "latency"))
    held = less and lost.value <= _NOISE * (lost.spread or 0.0)
    method = (
        "1: fewer parameters, bytes and FLOPs, a shorter decode step here, and at most "
        f"{_NOISE} standard errors of accuracy lost on the test split; else 0"
    )
    return Measurement("adas/search/dominates", float(held), "1", method, lost.n)
