"""When stations speak: BSM at 10 Hz, CAM by ETSI's rules, DENM on events."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from agentforge.phase7_adas.drive.v2x.cam_rules import CamRules
from agentforge.phase7_adas.drive.v2x.denm import Cause
from agentforge.phase7_adas.drive.v2x.envelope import What, opened
from agentforge.phase7_adas.drive.v2x.station import Station
from agentforge.phase7_adas.drive.v2x.told import Told
from agentforge.phase7_adas.drive.v2x.warnings import Warnings
from tests.unit.adas_drive.v2x.made import TOLD, drive, said

STEP_S = 0.01
STILL = replace(TOLD, speed_mps=0.0, accel_mps2=0.0, yaw_rate_radps=0.0)


def cams(told: Told, seconds: float, rules: CamRules | None = None) -> list[float]:
    """Seconds after its beginning at which a straight drive sends CAMs."""
    rules = rules or CamRules()
    return [n * STEP_S for n in range(round(seconds / STEP_S)) if rules.due(drive(told, n * STEP_S))]


def gaps(times: list[float]) -> list[float]:
    return [round(after - before, 3) for before, after in pairwise(times)]


@pytest.mark.parametrize(
    ("speed_mps", "period_s"), [(0.0, 1.0), (2.0, 1.0), (9.9, 0.41), (30.0, 0.14), (60.0, 0.1), (88.0, 0.1)]
)
def test_a_cam_every_four_metres_between_one_and_ten_a_second(speed_mps: float, period_s: float) -> None:
    assert set(gaps(cams(replace(STILL, speed_mps=speed_mps), 5.0))) == {period_s}


@pytest.mark.parametrize(
    "change",
    [{"heading_rad": TOLD.heading_rad + math.radians(4.1)}, {"speed_mps": 0.51}, {"x_m": TOLD.x_m + 4.1}],
)
def test_a_change_is_told_at_once_but_not_within_a_tenth(change: dict[str, Any]) -> None:
    at = replace(STILL, t_us=0)
    for after_us, due in ((50_000, False), (99_999, False), (100_000, True), (300_000, True)):
        rules = CamRules()
        assert rules.due(at)
        assert rules.due(replace(at, t_us=after_us, **change)) is due
        if due:
            assert not rules.due(replace(at, t_us=after_us + 1, **change))


@pytest.mark.parametrize(
    "change",
    [{"heading_rad": TOLD.heading_rad + math.radians(3.9)}, {"speed_mps": 0.49}, {"x_m": TOLD.x_m + 3.9}],
)
def test_a_small_change_waits_for_a_second(change: dict[str, Any]) -> None:
    at, rules = replace(STILL, t_us=0), CamRules()
    assert rules.due(at)
    assert not rules.due(replace(at, t_us=999_999, **change))
    assert rules.due(replace(at, t_us=1_000_000, **change))


def test_a_heading_that_passes_south_west_is_a_small_change() -> None:
    at, rules = replace(STILL, t_us=0, heading_rad=math.pi - 0.01), CamRules()
    assert rules.due(at)
    assert not rules.due(replace(at, t_us=200_000, heading_rad=-math.pi + 0.01))


def test_after_lively_driving_three_more_cams_come_at_its_period() -> None:
    rules = CamRules()
    lively = cams(replace(STILL, speed_mps=20.0), 2.0, rules)
    period = gaps(lively)[-1]
    halted = drive(replace(STILL, speed_mps=20.0), 2.0)
    after = cams(replace(halted, speed_mps=0.0), 5.0, rules)
    # the stop itself is a change of speed; three keep its period; then one a second
    assert gaps(after)[:3] == pytest.approx([gaps(after)[0]] * 3)
    assert gaps(after)[0] <= period + STEP_S
    assert gaps(after)[3:] == [1.0] * len(gaps(after)[3:])
    assert len(gaps(after)) >= 5


def test_bsms_come_ten_times_a_second_whatever_the_steps() -> None:
    for step_us in (10_000, 30_000, 50_000, 70_000):
        station, count = Station(7, kinds=(What.BSM,)), 0
        for t_us in range(0, 6_000_000, step_us):
            count += len(said(station, replace(TOLD, t_us=t_us)))
        assert count == pytest.approx(60, abs=1), step_us


def test_numbers_run_over_all_kinds() -> None:
    station, out = Station(7), []
    for n in range(30):
        out += said(station, replace(drive(TOLD, n / 10), accel_mps2=-8.0))
    envelopes = [opened(each) for each in out]
    assert [each.sequence for each in envelopes] == list(range(len(out)))
    assert {each.what for each in envelopes} == set(What)
    assert station.sent == len(out)


def test_a_station_speaks_for_itself_alone() -> None:
    with pytest.raises(ValueError, match="told to speak for 7"):
        said(Station(8), TOLD)


def warned(course: list[Told]) -> list[tuple[int, Cause, int, bool]]:
    warnings = Warnings()
    return [(told.t_us, cause, number, over) for told in course for cause, number, _, over in warnings.due(told)]


def test_emergency_braking_is_told_at_once_again_and_when_it_is_over() -> None:
    course = [
        replace(TOLD, t_us=n * 50_000, accel_mps2=-6.0 if 20 <= n < 50 else 0.0, speed_mps=20.0) for n in range(100)
    ]
    told = warned(course)
    assert told[0] == (1_000_000, Cause.EMERGENCY_BRAKING, 1, False)
    assert [t_us for t_us, *_ in told[:4]] == [1_000_000, 1_500_000, 2_000_000, 2_500_000]
    assert [over for *_, over in told] == [False] * (len(told) - 1) + [True]
    assert told[-1][0] == 2_450_000 + 1_000_000
    assert {number for _, _, number, _ in told} == {1}


def test_gentle_braking_and_the_end_of_a_stop_are_no_events() -> None:
    assert warned([replace(TOLD, t_us=n * 50_000, accel_mps2=-3.5) for n in range(20)]) == []
    assert warned([replace(TOLD, t_us=n * 50_000, accel_mps2=-6.0, speed_mps=1.0) for n in range(20)]) == []


def test_one_that_stands_for_ten_seconds_warns_until_it_drives() -> None:
    course = [replace(STILL, t_us=n * 100_000) for n in range(150)]
    course += [replace(STILL, t_us=n * 100_000, speed_mps=3.0) for n in range(150, 160)]
    told = warned(course)
    assert told[0] == (10_000_000, Cause.STATIONARY_VEHICLE, 1, False)
    assert told[-1] == (15_000_000, Cause.STATIONARY_VEHICLE, 1, True)
    assert len(told) == 11


def test_a_second_event_has_another_number() -> None:
    brakes = [replace(TOLD, t_us=n * 100_000, accel_mps2=-6.0 if n in (0, 30) else 0.0) for n in range(50)]
    numbers = [number for _, _, number, over in warned(brakes) if over]
    assert numbers == [1, 2]
