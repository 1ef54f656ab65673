"""Shares and means with their 95 % intervals, as measurements: `<name>`, `<name>/low` and `<name>/high`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from agentforge.kit.measure import Measurement
from agentforge.kit.rng import Rng

_Z = 1.959964  # 95 % of a normal distribution
_TAIL = 2.5  # percent, on either side

Floats = NDArray[np.float64]


def wilson(right: float, n: int) -> tuple[float, float]:
    """The interval of the true share that `right` of `n` speak for (Wilson 1927)."""
    share, spread = right / n, _Z * _Z / n
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return (middle - half if right else 0.0), (middle + half if right < n else 1.0)  # exact at both ends


def share(name: str, flags: Sequence[bool], method: str, *, units: int) -> list[Measurement]:
    """The mean of flags, and Wilson's interval of that mean over as many `units` as are surely independent: replies
    to one question put in seven ways are no seven samples."""
    one = plain_share(name, flags, method)
    return [one, *_bounds(one, wilson(one.value * units, units), f"Wilson's 95 % interval over {units:,} units")]


def plain_share(name: str, flags: Sequence[bool], method: str) -> Measurement:
    """Without an interval."""
    return Measurement.of_samples(name, [float(flag) for flag in flags], "1", method)


def bootstrapped(
    one: Measurement, statistic: Callable[[NDArray[np.int64]], float], units: int, *, resamples: int, seed: int
) -> list[Measurement]:
    """`statistic` of places among `units` that were drawn with replacement; percentiles of all draws."""
    rng = Rng(seed, "baking/bootstrap", one.name).numpy()
    drawn = [statistic(rng.integers(0, units, units)) for _ in range(resamples)]
    low, high = np.percentile(np.array(drawn), [_TAIL, 100 - _TAIL])
    how = f"bootstrap 95 % interval, {resamples} resamples of {units:,} questions"
    return [one, *_bounds(one, (float(low), float(high)), how)]


def _bounds(one: Measurement, bounds: tuple[float, float], how: str) -> list[Measurement]:
    return [
        Measurement(f"{one.name}/{end}", value, one.unit, f"{how}: {one.method}", one.n)
        for end, value in zip(("low", "high"), bounds, strict=True)
    ]
