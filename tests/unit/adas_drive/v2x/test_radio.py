"""The closed loop's radio: what the ego hears of scenarios, and what becomes of faults put into the air."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from agentforge.kit.errors import InvalidInput
from agentforge.phase7_adas.drive.agent import Neighbour
from agentforge.phase7_adas.drive.injected import FaultKind, InjectedFault
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.scenarios.scenario import Family, Scenario, Wanted
from agentforge.phase7_adas.drive.scenarios.script import Actor
from agentforge.phase7_adas.drive.truth import Bodies, Kind, Truth, Weather
from agentforge.phase7_adas.drive.v2x.envelope import What
from agentforge.phase7_adas.drive.v2x.radio import SPOOFER, TICK_US, Radio

pytestmark = pytest.mark.requirement("SR8")

TICKS = 100


def scenario(*faults: InjectedFault, talks: bool = True) -> Scenario:
    actors = (Actor(40.0, 1.75, 12.0, talks=talks), Actor(60.0, 1.75, 12.0))
    road = Road(((1000.0, 0.0),))
    return Scenario(
        "test", Family.V2X, "two ahead", 10.0, road, Wanted.GOES_ON, False, actors=actors, faults=faults
    )


def truth(t_us: int, accel: float = 0.0) -> Truth:
    """The ego and three others, all at 12 m/s to the east; the third is on foot."""
    gone = 12.0 * t_us * 1e-6
    states = np.array([[gone + ahead, 1.75, 0.0, 12.0, accel, 0.0] for ahead in (40.0, 60.0, 20.0)])
    sizes = np.array([[4.5, 1.85, 1.5], [9.5, 2.5, 3.4], [0.5, 0.5, 1.7]])
    kinds = np.array([Kind.VEHICLE, Kind.VEHICLE, Kind.PEDESTRIAN], dtype=np.int64)
    ego = np.array([gone, 1.75, 0.0, 12.0, 0.0, 0.0])
    return Truth(t_us, ego, sizes[0], Bodies(np.arange(1, 4), kinds, states, sizes), Weather())


def listened(radio: Radio, ticks: int = TICKS, accel: float = 0.0) -> list[tuple[Neighbour, ...]]:
    return [radio.listen(truth(n * TICK_US, accel)) for n in range(1, ticks + 1)]


def everybody(heard: list[tuple[Neighbour, ...]]) -> list[Neighbour]:
    return [each for tick in heard for each in tick]


def test_a_car_that_talks_is_heard_where_it_is_but_for_its_gps() -> None:
    heard = everybody(listened(Radio(scenario(), 1)))
    assert {each.station for each in heard} == {1}
    assert len(heard) == pytest.approx(TICKS / 2, abs=3)  # ten a second
    off = [math.hypot(each.x_m - 40.0 - 12.0 * each.t_us * 1e-6, each.y_m - 1.75) for each in heard]
    assert 0.05 < np.mean(off) < 5.0
    assert all(each.speed_mps == pytest.approx(12.0, abs=0.02) and each.length_m == 4.5 for each in heard)


def test_messages_take_their_time() -> None:
    radio = Radio(scenario(), 1)
    for n in range(1, 40):
        assert all(each.t_us < n * TICK_US for each in radio.listen(truth(n * TICK_US)))


def test_everybody_is_all_vehicles_and_nobody_on_foot() -> None:
    heard = everybody(listened(Radio(scenario(talks=False), 1, everybody=True)))
    assert {each.station for each in heard} == {1, 2}


def test_where_nobody_talks_nothing_is_heard() -> None:
    radio = Radio(scenario(talks=False), 1)
    assert everybody(listened(radio)) == []
    assert (radio.sent, radio.agent.received) == (0, 0)


def test_the_same_seed_hears_the_same_and_another_does_not() -> None:
    faults = (InjectedFault(FaultKind.GARBAGE, "v2x"),)
    for given in ((), faults):
        heard = [listened(Radio(scenario(*given), seed)) for seed in (1, 1, 2)]
        assert heard[0] == heard[1] != heard[2]


def test_a_fault_acts_only_while_it_acts() -> None:
    fault = InjectedFault(FaultKind.DROPOUT, "v2x", 1.0, 1_000_000, 2_000_000)
    heard = everybody(listened(Radio(scenario(fault), 1)))
    stamps = [each.t_us for each in heard]
    assert not [t_us for t_us in stamps if 1_000_000 <= t_us < 2_000_000]
    assert min(stamps) < 1_000_000 < 2_000_000 < max(stamps)


def test_a_spoofed_car_is_heard_ahead_of_the_ego_and_is_told_for_what_it_claims() -> None:
    fault = InjectedFault(FaultKind.SPOOF, "v2x", 30.0, 1_000_000)
    heard = [each for each in everybody(listened(Radio(scenario(fault), 1))) if each.station == SPOOFER]
    assert len(heard) > 20
    for each in heard:
        assert each.t_us >= 1_000_000
        assert each.x_m - 12.0 * each.t_us * 1e-6 == pytest.approx(30.0, abs=0.02)


def test_garbage_is_dropped_and_counted_and_never_far_off() -> None:
    radio = Radio(scenario(InjectedFault(FaultKind.GARBAGE, "v2x")), 1)
    heard = everybody(listened(radio, 400))
    agent = radio.agent
    assert agent.received == agent.receiver.accepted + sum(agent.dropped.values())
    assert sum(agent.dropped.values()) > 0.7 * agent.received > 100
    assert len(agent.dropped) >= 3
    assert all(np.isfinite([each.x_m, each.y_m, each.speed_mps]).all() for each in heard)


@pytest.mark.parametrize(
    ("kind", "amount", "reasons"),
    [
        (FaultKind.DELAY, 1.0, {"stale"}),
        (FaultKind.SKEW, 1.0, {"future"}),
        (FaultKind.SKEW, -1.0, {"stale"}),
        (FaultKind.STALE, 1.0, {"duplicate", "stale"}),
    ],
)
def test_what_comes_late_or_twice_or_from_wrong_clocks_is_dropped(
    kind: FaultKind, amount: float, reasons: set[str]
) -> None:
    radio = Radio(scenario(InjectedFault(kind, "v2x", amount, 2_000_000)), 1)
    heard = everybody(listened(radio))
    assert max(each.t_us for each in heard) <= 2_000_000
    assert set(radio.agent.dropped) == reasons


def test_frozen_content_keeps_its_place_with_fresh_stamps() -> None:
    fault = InjectedFault(FaultKind.FREEZE, "v2x", 1.0, 2_000_000, 2_600_000)
    heard = [each for each in everybody(listened(Radio(scenario(fault), 1))) if 2_000_000 <= each.t_us < 2_600_000]
    assert len({each.x_m for each in heard}) == 1
    assert len(heard) > 2


def test_a_fault_that_radios_cannot_have_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        Radio(scenario(InjectedFault(FaultKind.BLIND, "v2x")), 1)
    assert caught.value.reason == "FAULT_NOT_APPLICABLE"
    Radio(scenario(InjectedFault(FaultKind.BLIND, "camera")), 1)  # is not ours


def test_cams_can_be_sent_instead() -> None:
    radio = Radio(scenario(), 1, kinds=(What.CAM,))
    heard = everybody(listened(radio))
    assert len(heard) == pytest.approx(TICKS * 0.05 * 12.0 / 4.0, abs=4)  # one every 4 m, told in ticks
    assert {each.station for each in heard} == {1}


def test_emergency_braking_is_warned_of() -> None:
    radio = Radio(scenario(), 1)
    events = []
    for n in range(1, 41):
        radio.listen(truth(n * TICK_US, accel=-6.0))
        events += radio.agent.events
    assert {(each.station, each.cause, each.sub_cause) for each in events} == {(1, 99, 1)}


def test_far_away_nobody_is_heard_and_a_crowd_costs_messages() -> None:
    def count(ahead: float, crowd: int) -> int:
        radio, heard = Radio(scenario(), 1, crowd=crowd), 0
        for n in range(1, 201):
            now = truth(n * TICK_US)
            states = now.others.state_N6.copy()
            states[:, 0] += ahead
            heard += len(radio.listen(replace(now, others=replace(now.others, state_N6=states))))
        return heard

    assert count(3_000.0, 0) == 0
    assert count(0.0, 0) > 95 > 85 > count(0.0, 200) > 30
