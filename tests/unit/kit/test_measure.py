"""Measurements: only of what was measured."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agentforge.kit.measure import Measurement

GOOD: dict[str, Any] = {"name": "a/b", "value": 1.5, "unit": "1", "method": "counted", "n": 3}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"value": math.nan}, "a/b"),
        ({"value": math.inf}, "a/b"),
        ({"n": 0}, "a/b"),
        ({"n": -1}, "a/b"),
        ({"unit": ""}, "unit"),
        ({"method": ""}, "method"),
        ({"name": ""}, "name"),
        ({"spread": -0.1}, "spread"),
        ({"spread": math.nan}, "spread"),
    ],
)
def test_what_was_not_measured_cannot_be_said(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Measurement(**{**GOOD, **change})


def test_samples() -> None:
    many = Measurement.of_samples("x", [1.0, 2.0, 3.0], "s", "timed")
    assert (many.value, many.spread, many.n) == (2.0, 1.0, 3)
    one = Measurement.of_samples("x", [1.0], "s", "timed")
    assert (one.n, one.spread) == (1, None)
    with pytest.raises(ValueError, match="at least one"):
        Measurement.of_samples("x", [], "s", "timed")


def test_it_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Measurement(**GOOD).value = 2.0  # type: ignore[misc]
