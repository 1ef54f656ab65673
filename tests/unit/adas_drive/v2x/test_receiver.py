"""The receiver: what it lets through, what it drops and by which reason, and that no octets bring it down."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentforge.phase7_adas.drive.truth import Kind
from agentforge.phase7_adas.drive.v2x import cam
from agentforge.phase7_adas.drive.v2x.envelope import HEAD, MAGIC, Envelope, What
from agentforge.phase7_adas.drive.v2x.ledger import MOST_PER_S, MOST_STATIONS, WINDOW
from agentforge.phase7_adas.drive.v2x.receiver import FUTURE_US, REASONS, STALE_US, Receiver
from agentforge.phase7_adas.drive.v2x.station import Station
from tests.unit.adas_drive.v2x.made import TOLD, bsm, degrees, drive, said, stream

pytestmark = pytest.mark.requirement("SR8")

NOW = TOLD.t_us + 2_000
TRUE = [bsm(), *said(Station(7), replace(TOLD, accel_mps2=-8.0))]


def dropped_for(receiver: Receiver) -> dict[str, int]:
    assert receiver.received == receiver.accepted + sum(receiver.dropped.values())
    assert set(receiver.dropped) <= set(REASONS)
    return {reason: many for reason, many in receiver.dropped.items() if many}


def test_a_true_message_becomes_a_neighbour() -> None:
    receiver = Receiver()
    (heard,) = receiver.take([bsm()], NOW)
    assert (heard.station, heard.t_us, heard.kind) == (7, TOLD.t_us, Kind.VEHICLE)
    assert math.hypot(heard.x_m - TOLD.x_m, heard.y_m - TOLD.y_m) < 0.01
    assert heard.heading_rad == pytest.approx(TOLD.heading_rad, abs=math.radians(0.00626))
    assert heard.speed_mps == pytest.approx(TOLD.speed_mps, abs=0.0101)
    assert (heard.length_m, heard.width_m, heard.sigma_m) == pytest.approx((4.5, 1.85, 1.0))
    assert dropped_for(receiver) == {}


@settings(max_examples=60, deadline=None)
@given(st.floats(-math.pi, math.pi), st.floats(-14.0, 89.0), st.floats(-3_000, 3_000), st.floats(-3_000, 3_000))
def test_whatever_a_car_tells_is_what_is_heard(heading: float, speed: float, x: float, y: float) -> None:
    told = replace(TOLD, heading_rad=heading, speed_mps=speed, x_m=x, y_m=y)
    (heard,) = Receiver().take([bsm(told)], NOW)
    assert abs(math.remainder(heard.heading_rad - heading, math.tau)) <= math.radians(0.00626)
    assert -math.pi - 1e-9 <= heard.heading_rad <= math.pi + 1e-9
    assert heard.speed_mps == pytest.approx(speed, abs=0.0101)
    assert math.hypot(heard.x_m - x, heard.y_m - y) < 0.01


def test_all_three_kinds_are_understood() -> None:
    receiver = Receiver()
    neighbours = receiver.take(said(Station(7), replace(TOLD, accel_mps2=-8.0)), NOW)
    assert receiver.accepted == 3
    assert len(neighbours) == 1
    (event,) = receiver.events
    assert (event.cause, event.sub_cause, event.over) == (99, 1, False)
    assert math.hypot(event.x_m - TOLD.x_m, event.y_m - TOLD.y_m) < 0.01
    receiver.take([], NOW)
    assert receiver.events == []


@st.composite
def near_misses(draw: st.DrawFn) -> bytes:
    """True messages with octets turned, put in, left out, or cut off; and heads with anything behind them."""
    octets = bytearray(draw(st.sampled_from(TRUE)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(octets) - 1))
        octets[at] = draw(st.integers(0, 255))
    how = draw(st.integers(0, 3))
    if how == 1:
        return bytes(octets[: draw(st.integers(0, len(octets)))])
    if how == 2:
        return bytes(octets) + draw(st.binary(max_size=1500))
    if how == 3:
        body = draw(st.binary(max_size=80))
        what = draw(st.integers(0, 4))
        return HEAD.pack(MAGIC, 1, what, 7, draw(st.integers(0, 2**32 - 1)), TOLD.t_us, len(body)) + body
    return bytes(octets)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(st.binary(max_size=1600), near_misses()), max_size=12),
    st.sampled_from([0, NOW, NOW + 1, 2**62]),
    st.booleans(),
)
@example([HEAD.pack(MAGIC, 1, 1, 7, 0, 2**64 - 1, 37) + bytes(37)], NOW, True)
@example([HEAD.pack(MAGIC, 1, 2, 7, 0, 2**62, 0)], NOW, False)
def test_no_octets_raise_and_all_are_accounted_for(datagrams: list[bytes], t_us: int, near: bool) -> None:
    receiver = Receiver()
    for _ in range(2):
        for heard in receiver.take(datagrams, t_us, (0.0, 0.0) if near else None):
            assert np.isfinite([heard.x_m, heard.y_m, heard.heading_rad, heard.speed_mps, heard.sigma_m]).all()
            assert heard.length_m > 0
            assert heard.width_m > 0
            assert heard.sigma_m > 0
    dropped_for(receiver)


def test_a_replay_of_a_whole_stream_drops_everything() -> None:
    true = stream(count=100)
    receiver = Receiver()
    for t_us, datagram in true:
        assert len(receiver.take([datagram], t_us + 2_000)) == 1
    end_us = true[-1][0]
    assert receiver.take([datagram for _, datagram in true], end_us + 3_000) == ()
    assert receiver.accepted == 100
    assert sum(dropped_for(receiver).values()) == 100
    for t_us, datagram in true:  # later, in its own rhythm, to one that has forgotten the station
        assert receiver.take([datagram], t_us + 60_000_000) == ()
    assert receiver.accepted == 100
    fresh = Receiver()  # to one that never heard it
    for t_us, datagram in true:
        assert fresh.take([datagram], t_us + 60_000_000) == ()
    assert dropped_for(fresh) == {"stale": 100}


def test_the_same_number_twice_is_a_duplicate_in_one_call_as_well() -> None:
    receiver = Receiver()
    assert len(receiver.take([bsm(), bsm()], NOW)) == 1
    assert dropped_for(receiver) == {"duplicate": 1}


def test_numbers_far_below_are_replayed() -> None:
    receiver = Receiver()
    receiver.take([bsm(sequence=WINDOW + 5), bsm(sequence=5), bsm(sequence=6)], NOW)
    assert receiver.accepted == 2
    assert dropped_for(receiver) == {"replayed": 1}


@pytest.mark.parametrize(
    ("ahead_us", "reason"),
    [(FUTURE_US + 3_000, "future"), (FUTURE_US, None), (-STALE_US, "stale"), (-STALE_US + 3_000, None)],
)
def test_a_skewed_clock_is_told_by_its_stamps(ahead_us: int, reason: str | None) -> None:
    receiver = Receiver()
    latitude, longitude = degrees(TOLD)
    station = Station(7, kinds=(What.BSM,))
    for n in range(10):
        told = drive(TOLD, n / 10)
        receiver.take(station.step(told, latitude, longitude, ahead_us), told.t_us + 2_000)
    assert dropped_for(receiver) == ({reason: 10} if reason else {})


def test_gaps_are_told_as_loss_and_late_ones_are_not() -> None:
    receiver = Receiver()
    true = stream(count=10)
    for n in (3, 4, 8, 9):
        receiver.take([true[n][1]], true[n][0])
    assert receiver.lost == 3
    receiver.take([true[6][1]], true[9][0])
    assert receiver.lost == 2
    receiver.take([true[1][1], true[2][1]], true[6][0])  # from before the first: never told as lost
    assert receiver.lost == 2


def test_a_jump_of_numbers_is_no_loss_of_a_million() -> None:
    receiver = Receiver()
    receiver.take([bsm(sequence=1), bsm(sequence=1_000_000)], NOW)
    assert (receiver.accepted, receiver.lost) == (2, 0)


def test_a_station_that_begins_anew_is_heard_once_its_old_stamps_are_stale() -> None:
    receiver = Receiver()
    receiver.take([bsm(sequence=500)], NOW)
    soon, later = drive(TOLD, 0.2), drive(TOLD, 0.8)
    assert receiver.take([bsm(soon, 0)], soon.t_us) == ()
    assert len(receiver.take([bsm(later, 1)], later.t_us)) == 1


def test_one_that_speaks_too_often_is_cut_and_others_are_not() -> None:
    receiver = Receiver()
    flood = [bsm(replace(TOLD, t_us=TOLD.t_us + n * 100), n) for n in range(300)]
    other = bsm(replace(TOLD, station=8))
    assert [each.station for each in receiver.take([*flood, other], NOW + 30_000)] == [7, 8]
    assert dropped_for(receiver) == {"too many": 300 - round(MOST_PER_S)}


def test_made_up_stations_do_not_fill_the_memory_for_long() -> None:
    receiver = Receiver()
    many = [bsm(replace(TOLD, station=100 + n)) for n in range(MOST_STATIONS + 50)]
    receiver.take(many, NOW)
    assert dropped_for(receiver) == {"crowded": 50}
    later = drive(TOLD, 1.0)
    assert len(receiver.take([bsm(later)], later.t_us)) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x_m": TOLD.x_m + 200.0}, "implausible"),
        ({"speed_mps": TOLD.speed_mps + 30.0}, "implausible"),
        ({"speed_mps": 100.0}, "implausible"),
        ({"x_m": 70_000.0}, "implausible"),
        ({"length_m": 40.0}, "implausible"),
        ({"length_m": 0.0}, "incomplete"),
    ],
)
def test_what_no_vehicle_can_be_is_not_believed(change: dict[str, Any], reason: str) -> None:
    receiver = Receiver()
    receiver.take([bsm()], NOW)
    lie = replace(drive(TOLD, 0.1), **change)
    assert receiver.take([bsm(lie, 1)], lie.t_us) == ()
    assert dropped_for(receiver) == {reason: 1}
    true = drive(TOLD, 0.2)
    assert len(receiver.take([bsm(true, 2)], true.t_us)) == 1, "a lie must not make the truth implausible"


def test_far_from_us_is_implausible_if_we_know_where_we_are() -> None:
    for near, heard in ((None, 1), ((0.0, 0.0), 1), ((5_000.0, 0.0), 0)):
        assert len(Receiver().take([bsm()], NOW, near)) == heard


@pytest.mark.parametrize(
    "unknown",
    [{"lat": 900_000_001}, {"long": 1_800_000_001}, {"speed": 8191}, {"heading": 28_800}, {"semiMajor": 255}],
)
def test_what_is_told_as_unknown_is_incomplete(unknown: dict[str, Any]) -> None:
    receiver = Receiver()
    assert receiver.take([bsm(**unknown)], NOW) == ()
    assert dropped_for(receiver) == {"incomplete": 1}


@pytest.mark.parametrize("wrong", [{"id": 8}, {"secMark": 17}])
def test_message_and_envelope_must_agree(wrong: dict[str, Any]) -> None:
    receiver = Receiver()
    assert receiver.take([bsm(**wrong)], NOW) == ()
    assert dropped_for(receiver) == {"inconsistent": 1}


def test_a_cam_and_a_denm_must_agree_with_their_envelopes() -> None:
    cam_octets = cam.encode(cam.tree_of(TOLD, *degrees(TOLD), False))
    envelopes = (
        Envelope(What.CAM, 8, 0, TOLD.t_us, cam_octets),
        Envelope(What.CAM, 7, 0, TOLD.t_us + 5000, cam_octets),
    )
    receiver = Receiver()
    receiver.take([each.covered() for each in envelopes], NOW)
    denm_octets = said(Station(7, kinds=(What.DENM,)), replace(TOLD, accel_mps2=-8.0))[0][HEAD.size :]
    receiver.take([Envelope(What.DENM, 9, 0, TOLD.t_us, denm_octets).covered()], NOW)
    assert dropped_for(receiver) == {"inconsistent": 3}


def test_our_own_messages_are_not_neighbours() -> None:
    receiver = Receiver(own=7)
    assert receiver.take([bsm()], NOW) == ()
    assert dropped_for(receiver) == {"own": 1}


def test_the_newest_of_several_counts() -> None:
    receiver = Receiver()
    true = stream(count=3)
    (heard,) = receiver.take([true[2][1], true[0][1], true[1][1]], true[2][0])
    assert heard.t_us == true[2][0]
    assert receiver.accepted == 3


def test_a_flood_of_cams_is_decoded_only_up_to_a_bound_and_replayed_ones_not_at_all() -> None:
    cams = [said(Station(n, kinds=(What.CAM,)), replace(TOLD, station=n))[0] for n in range(1, 31)]
    receiver = Receiver(most_trees=10)
    assert len(receiver.take([*cams, bsm(replace(TOLD, station=99))], NOW)) == 11
    assert dropped_for(receiver) == {"overload": 20}
    assert len(receiver.take(cams, NOW)) == 10, "those that were heard cost no decoding"
    assert dropped_for(receiver) == {"overload": 30, "duplicate": 10}
