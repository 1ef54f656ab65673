"""Who is warned drives with care towards what it was warned of, and no warning does more than that."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agentforge.phase7_adas.drive.agent import Scene
from agentforge.phase7_adas.drive.messages import Command, Ego, Mode, Plan
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.v2x.denm import Cause, Event
from agentforge.phase7_adas.drive.v2x.heeding import MOST, Heeding
from tests.unit.adas_drive.orchestrator.agents import one_track

pytestmark = pytest.mark.requirement("SR8")
ROAD = Road(pieces=((1000.0, 0.0),), lanes=3, oncoming=1)
LANE = ROAD.lane_centre_d(0)


class Seeing:
    """Planning that remembers in which mode it was asked."""

    name, deadline_ms = "planning", 10.0

    def __init__(self) -> None:
        self.mode: Mode | None = None

    def step(self, given: Scene) -> Plan:
        self.mode = given.mode
        return Plan(given.t_us, np.zeros((40, 5)), Command(0.0, 0.0), True, 1)


def event(ahead_m: float = 80.0, d: float = LANE, told_us: int = 1_000_000, **changed: Any) -> Event:
    code, sub_code = Cause.EMERGENCY_BRAKING.value
    made = Event(7, 1, told_us, told_us, 100.0 + ahead_m, d, code, sub_code, False)
    return replace(made, **changed)


def mode_after(*events: Event, t_us: int = 1_100_000, mode: Mode = Mode.NORMAL, x: float = 100.0) -> Mode | None:
    planning = Seeing()
    heeding = Heeding(planning)
    heeding.hear(events)
    tracks = one_track(t_us)
    ego = Ego(t_us, np.array([x, LANE, 0.0, 12.0, 0.0, 0.0]), np.eye(6), True)
    heeding.step(Scene(t_us, ego, tracks, None, ROAD, 0, mode))  # type: ignore[arg-type]
    return planning.mode


def test_a_warning_ahead_on_our_way_asks_for_care_and_others_do_not() -> None:
    assert mode_after(event()) is Mode.DEGRADED
    assert mode_after(event(d=ROAD.lane_centre_d(1))) is Mode.DEGRADED, "another lane of our way"
    assert mode_after() is Mode.NORMAL
    assert mode_after(event(ahead_m=-5.0)) is Mode.NORMAL
    assert mode_after(event(ahead_m=300.0)) is Mode.NORMAL
    assert mode_after(event(d=ROAD.lane_centre_d(2) + 1.5)) is Mode.NORMAL, "the other way"
    assert mode_after(event(cause=1)) is Mode.NORMAL


def test_it_ends_when_it_is_cancelled_or_not_repeated() -> None:
    stands, sub_code = Cause.STATIONARY_VEHICLE.value
    told = {"cause": stands, "sub_cause": sub_code}
    assert mode_after(event(**told)) is Mode.DEGRADED
    assert mode_after(event(**told), event(told_us=1_050_000, over=True, **told)) is Mode.NORMAL
    assert mode_after(event(), event(told_us=1_050_000, over=True)) is Mode.DEGRADED, "who braked hard stands there"
    assert mode_after(event(), t_us=8_000_000) is Mode.NORMAL
    assert mode_after(event(), event(told_us=5_000_000), t_us=8_000_000) is Mode.DEGRADED


def test_no_warning_makes_it_go_or_stop() -> None:
    for mode in (Mode.DEGRADED, Mode.MINIMAL_RISK, Mode.EMERGENCY, Mode.STOPPED):
        assert mode_after(event(), mode=mode) is mode
    assert mode_after(event(), x=float("nan")) is Mode.NORMAL


def test_a_flood_of_made_up_warnings_fills_no_memory() -> None:
    heeding = Heeding(Seeing())
    heeding.hear(event(station=number) for number in range(10_000))
    assert len(heeding._warnings) == MOST
