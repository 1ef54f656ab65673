"""The chosen model against the input, on the test split, which no part of the search has seen."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from agentforge.kit.measure import Measurement
from agentforge.phase7_adas.search.search import Found

_NOISE = 1.645  # standard errors: what chance alone loses in one of twenty comparisons


def against_input(found: Found, before: Sequence[bool], after: Sequence[bool]) -> list[Measurement]:
    """What is lost, item by item, and whether the choice dominates the input. Items answered rightly, of both."""
    lost = [float(a) - float(b) for a, b in zip(before, after, strict=True)]
    error = statistics.stdev(lost) / math.sqrt(len(lost))
    method = f"answers right before minus right after, mean over {len(lost):,} items of the test split"
    difference = Measurement(
        "adas/lost", statistics.fmean(lost), "1", f"{method}; spread: its standard error", len(lost), error
    )
    return [difference, _dominates(found, difference)]


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
