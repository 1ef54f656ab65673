import math

import pytest

from agentforge.phase7_adas.drive.evidence.intervals import Rate, cases_needed, per_hour


def test_a_rate_and_its_interval() -> None:
    half = Rate(50, 100)
    low, high = half.interval
    assert low < half.value < high
    assert (low, high) == pytest.approx((0.4038, 0.5962), abs=1e-4)  # Wilson's own figures
    assert Rate(0, 10).interval[0] == 0.0
    assert Rate(0, 10).interval[1] == pytest.approx(0.2775, abs=1e-4)
    assert Rate(10, 10).interval[1] == 1.0


@pytest.mark.parametrize(("events", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_what_is_no_rate(events: int, n: int) -> None:
    with pytest.raises(ValueError, match="no rate"):
        Rate(events, n)


def test_how_many_cases_a_rare_event_needs() -> None:
    needed = cases_needed(1e-4)
    assert needed == 29_956
    assert (1 - 1e-4) ** needed <= 0.05 < (1 - 1e-4) ** (needed - 1)
    for none in (0.0, 1.0):
        with pytest.raises(ValueError, match="rare event"):
            cases_needed(none)


def test_events_an_hour() -> None:
    value, low, high = per_hour(0, 10.0)
    assert (value, low) == (0.0, 0.0)
    assert high == pytest.approx(-math.log(0.025) / 10)
    value, low, high = per_hour(5, 2.0)
    assert (value, low, high) == pytest.approx((2.5, 1.6235 / 2, 11.6683 / 2), abs=1e-3)  # of chi-squared tables
    assert per_hour(2_000, 1.0)[1] == pytest.approx(1913.3, abs=1.5)
    with pytest.raises(ValueError, match="nothing was measured"):
        per_hour(0, 0.0)
