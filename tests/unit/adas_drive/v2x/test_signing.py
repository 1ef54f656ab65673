"""Signatures: only a station's own key speaks for it, and a forger changes nothing that the receiver remembers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentforge.phase7_adas.drive.v2x.receiver import Receiver
from agentforge.phase7_adas.drive.v2x.signing import Ed25519Signer, Ed25519Verifier
from agentforge.phase7_adas.drive.v2x.station import Station
from tests.unit.adas_drive.v2x.made import TOLD, bsm, drive, said, stream

pytestmark = pytest.mark.requirement("SR8")

NOW = TOLD.t_us + 2_000
OURS, THEIRS = Ed25519Signer.from_seed(bytes(32)), Ed25519Signer.from_seed(bytes([1] * 32))


def receiver(most: int = 2000) -> Receiver:
    return Receiver(verifier=Ed25519Verifier({7: OURS.public()}), most_verified=most)


def test_signed_messages_of_all_kinds_are_heard() -> None:
    asks = receiver()
    assert len(asks.take(said(Station(7, signer=OURS), replace(TOLD, accel_mps2=-8.0)), NOW)) == 1
    assert (asks.accepted, len(asks.events), sum(asks.dropped.values())) == (3, 1, 0)


def test_unsigned_forged_and_unknown_are_dropped() -> None:
    asks = receiver()
    stranger = replace(TOLD, station=8)
    assert asks.take([bsm(), bsm(signer=THEIRS), bsm(stranger, signer=OURS)], NOW) == ()
    assert asks.dropped == {"unsigned": 1, "forged": 2}


def test_a_signature_covers_every_octet() -> None:
    signed = bsm(signer=OURS)
    for at in range(len(signed)):
        turned = bytearray(signed)
        turned[at] ^= 1
        assert receiver().take([bytes(turned)], NOW) == ()


def test_a_forger_does_not_move_the_window_of_a_station() -> None:
    asks = receiver()
    assert asks.take([bsm(sequence=9_000, signer=THEIRS)], NOW) == ()
    assert len(asks.take([bsm(sequence=1, signer=OURS)], NOW)) == 1
    assert asks.lost == 0


def test_a_signed_message_may_not_be_replayed_either() -> None:
    asks = receiver()
    true = stream(count=5, signer=OURS)
    for t_us, datagram in true:
        asks.take([datagram], t_us)
    assert asks.take([datagram for _, datagram in true], true[-1][0]) == ()
    assert asks.dropped == {"duplicate": 5}


def test_only_so_many_signatures_are_checked_in_one_call() -> None:
    asks = receiver(most=3)
    told = [drive(TOLD, n / 1000) for n in range(10)]
    asks.take([bsm(each, n, signer=THEIRS) for n, each in enumerate(told)], NOW + 10_000)
    assert asks.dropped == {"forged": 3, "overload": 7}


def test_one_that_asks_for_none_hears_signed_ones_too() -> None:
    assert len(Receiver().take([bsm(signer=THEIRS)], NOW)) == 1
