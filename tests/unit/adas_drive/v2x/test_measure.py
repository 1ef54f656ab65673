"""The measurements themselves: that they count what they say."""

from __future__ import annotations

import pytest

from agentforge.phase7_adas.drive.v2x import measure
from agentforge.phase7_adas.drive.v2x.receiver import REASONS


def test_attacks_account_for_every_datagram() -> None:
    got = measure.attacks(3)
    assert got["true stream"] == {"sent": 500, "received": 500, "accepted": 500, "dropped": {}}
    for name, attack in got.items():
        assert attack["received"] == attack["sent"] == attack["accepted"] + sum(attack["dropped"].values()), name
        assert set(attack["dropped"]) <= set(REASONS)
    for name in ("replayed at once", "replayed after 10 s", "random octets", "one to four bits turned, signed"):
        assert got[name]["accepted"] == 0
    assert got["random octets behind a true head"]["dropped"]["undecodable"] > 100
    assert measure.attacks(3) == got


def test_sizes_are_those_of_the_layouts() -> None:
    got = measure.codecs(repeats=20)
    assert got["bsm, pycrate"]["octets"] == got["bsm, fixed layout"]["octets"] == 37
    assert got["bsm, pycrate"]["octets_with_envelope"] == 59
    assert all(each["encode_us"] > 0 and each["decode_us"] > 0 for each in got.values())
    assert got["bsm, fixed layout"]["decode_us"] < got["bsm, pycrate"]["decode_us"]


def test_the_models_table_has_a_row_for_each_radio_and_crowd() -> None:
    got = measure.delivery()
    assert len(got) == 1 + 2 * len(measure.CROWDS)
    assert all(len(row) == len(measure.DISTANCES_M) for row in got.values())


@pytest.mark.slow
def test_everything_is_measured() -> None:
    got = measure.measure_v2x(1, stations=50, seconds=2.0)
    assert set(got) == {"codecs", "signatures", "load", "attacks", "delivery_by_the_model"}
    assert got["load"]["sender"]["sent"] == got["load"]["received"] == 1000
