"""CAM and DENM: round trips through pycrate, and heads read by bits from the standard's widths.

asn1tools would need ETSI's ASN.1 text, which is not here; so only the parts with fixed widths, from the header to
the speed of a CAM and to the validity of a DENM, are decoded independently. The rest is shown by pycrate alone.
"""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentforge.kit.errors import MissingTool
from agentforge.phase7_adas.drive.truth import Kind
from agentforge.phase7_adas.drive.v2x import cam, denm
from agentforge.phase7_adas.drive.v2x.denm import Cause
from agentforge.phase7_adas.drive.v2x.pycrated import Undecodable
from agentforge.phase7_adas.drive.v2x.receiver import Receiver
from agentforge.phase7_adas.drive.v2x.told import Told
from tests.unit.adas_drive.v2x.made import TOLD

PLACES = st.tuples(st.floats(-84.0, 84.0), st.floats(-179.9, 179.9))
TOLDS = st.builds(
    Told,
    station=st.integers(0, 2**32 - 1),
    t_us=st.integers(0, 2**40),
    x_m=st.just(0.0),
    y_m=st.just(0.0),
    heading_rad=st.floats(-math.pi, math.pi),
    speed_mps=st.floats(-10.0, 80.0),
    accel_mps2=st.floats(-30.0, 30.0),
    yaw_rate_radps=st.floats(-10.0, 10.0),
    length_m=st.floats(0.3, 25.0),
    width_m=st.floats(0.3, 4.0),
    sigma_m=st.floats(0.0, 15.0),
    kind=st.sampled_from([Kind.VEHICLE, Kind.CYCLIST, Kind.PEDESTRIAN]),
)


class Bits:
    """Reads bits from the left; knows nothing of the library under test."""

    def __init__(self, octets: bytes) -> None:
        self._text = "".join(f"{octet:08b}" for octet in octets)
        self._at = 0

    def take(self, width: int, low: int = 0) -> int:
        self._at += width
        assert self._at <= len(self._text)
        return int(self._text[self._at - width : self._at], 2) + low


def place(bits: Bits) -> tuple[int, int]:
    latitude, longitude = bits.take(31, -900_000_000), bits.take(32, -1_800_000_000)
    bits.take(12 + 12 + 12 + 20 + 4)  # ellipse, its orientation, altitude and its confidence
    return latitude, longitude


@settings(max_examples=50, deadline=None)
@given(TOLDS, PLACES, st.booleans())
def test_the_head_of_a_cam_lies_where_the_standard_puts_it(
    told: Told, where: tuple[float, float], low: bool
) -> None:
    bits = Bits(cam.encode(cam.tree_of(told, *where, low)))
    assert (bits.take(8), bits.take(8), bits.take(32)) == (2, 2, told.station)
    assert bits.take(16) == told.t_us // 1000 % 65_536
    assert (bits.take(1), bits.take(1), bits.take(1)) == (0, int(low), 0)  # extension, low frequency, special
    assert bits.take(1) == 0  # extension of the basic container
    assert bits.take(8) == {Kind.VEHICLE: 5, Kind.CYCLIST: 2, Kind.PEDESTRIAN: 1}[told.kind]
    assert place(bits) == (round(where[0] * 1e7), round(where[1] * 1e7))
    assert (bits.take(1), bits.take(1), bits.take(7)) == (0, 0, 0)  # a vehicle's container, without its options
    compass = (90 - math.degrees(told.heading_rad)) % 360
    assert abs((bits.take(12) / 10 - compass + 180) % 360 - 180) <= 0.0501
    assert bits.take(7, 1) == 127
    assert abs(bits.take(14) / 100 - abs(told.speed_mps)) <= 0.00501


@settings(max_examples=50, deadline=None)
@given(TOLDS, PLACES, st.booleans())
def test_a_cam_comes_back(told: Told, where: tuple[float, float], low: bool) -> None:
    tree = cam.tree_of(told, *where, low)
    assert cam.decode(cam.encode(tree)) == tree
    heard = cam.heard_of(tree)
    assert heard is not None
    assert heard.latitude_deg == pytest.approx(where[0], abs=6e-8)
    assert heard.longitude_deg == pytest.approx(where[1], abs=6e-8)
    assert heard.speed_mps == pytest.approx(told.speed_mps, abs=0.0051)
    assert abs(math.remainder(heard.heading_rad - told.heading_rad, math.tau)) <= math.radians(0.0501)
    assert heard.sigma_m == pytest.approx(told.sigma_m, abs=0.003)
    assert heard.length_m == pytest.approx(told.length_m, abs=0.051)
    assert Kind(int(heard.kind)) == told.kind


@settings(max_examples=50, deadline=None)
@given(TOLDS, PLACES, st.sampled_from(Cause), st.integers(0, 65_535), st.booleans())
def test_a_denm_comes_back_and_its_head_lies_where_the_standard_puts_it(
    told: Told, where: tuple[float, float], cause: Cause, number: int, over: bool
) -> None:
    tree = denm.tree_of(told, *where, cause, number, told.t_us, over)
    octets = denm.encode(tree)
    assert denm.decode(octets) == tree
    event = denm.event_of(tree, told.station, 1.0, 2.0)
    assert ((event.cause, event.sub_cause), event.number, event.over) == (cause.value, number, over)
    bits = Bits(octets)
    assert (bits.take(8), bits.take(8), bits.take(32)) == (2, 1, told.station)
    assert bits.take(3) == 0b100  # situation, but neither location nor à la carte
    assert bits.take(1) == 0  # extension of the management container
    assert bits.take(5) == int(over) << 4 | 0b00010  # termination, 2 x relevance, validity, interval
    assert (bits.take(32), bits.take(16)) == (told.station, number)
    assert (bits.take(42), bits.take(42)) == (told.t_us // 1000, told.t_us // 1000)
    if over:
        assert bits.take(1) == 0  # cancelled by who told it
    assert place(bits) == (round(where[0] * 1e7), round(where[1] * 1e7))
    assert bits.take(17) == denm.VALID_S


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120))
def test_any_octets_decode_or_are_undecodable(octets: bytes) -> None:
    for module in (cam, denm):
        try:
            module.decode(octets)
        except Undecodable:
            continue


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_turned_bits_decode_or_are_undecodable(data: st.DataObject) -> None:
    octets = bytearray(cam.encode(cam.tree_of(TOLD, 48.0, 11.0, True)))
    for at in data.draw(st.lists(st.integers(0, 8 * len(octets) - 1), min_size=1, max_size=8)):
        octets[at // 8] ^= 1 << at % 8
    try:
        cam.heard_of(cam.decode(bytes(octets)))
    except Undecodable:
        return


def test_a_whole_message_and_nothing_but_it() -> None:
    octets = cam.encode(cam.tree_of(TOLD, 48.0, 11.0, False))
    for wrong in (octets[:-1], octets + b"\0", octets + octets, b""):
        with pytest.raises(Undecodable):
            cam.decode(wrong)


def test_after_garbage_the_next_true_message_is_decoded_as_before() -> None:
    """pycrate keeps values in its type objects: what a broken message left there must not leak."""
    full, plain = (cam.tree_of(TOLD, 48.0, 11.0, low) for low in (True, False))
    octets = cam.encode(full)
    for cut in range(len(octets)):
        with pytest.raises(Undecodable):
            cam.decode(octets[:cut])
        assert cam.decode(cam.encode(plain)) == plain


def test_compiling_our_bsm_later_leaves_etsis_modules_as_they_were() -> None:
    """pycrate's compiler keeps modules in one place for a whole process, which compiling clears."""
    script = """
from agentforge.phase7_adas.drive.v2x import bsm, cam, denm
from agentforge.phase7_adas.drive.v2x.denm import Cause
from tests.unit.adas_drive.v2x.made import TOLD
trees = [(cam, cam.tree_of(TOLD, 48.0, 11.0, True)),
         (denm, denm.tree_of(TOLD, 48.0, 11.0, Cause.EMERGENCY_BRAKING, 1, 5, True))]
before = [module.encode(tree) for module, tree in trees]
core = {each.name: each.low for each in bsm.CORE.fields}
assert bsm.decode(bsm.encode(core)) == core
assert [module.encode(tree) for module, tree in trees] == before
assert [module.decode(octets) for (module, _), octets in zip(trees, before)] == [tree for _, tree in trees]
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60, cwd=Path(__file__).parents[4])


def test_what_is_told_as_unknown_is_not_taken_for_a_number() -> None:
    tree = cam.tree_of(TOLD, 48.0, 11.0, False)
    basic = tree["cam"]["camParameters"]["basicContainer"]["referencePosition"]
    basic["latitude"], basic["longitude"] = 900_000_001, 1_800_000_001
    high = tree["cam"]["camParameters"]["highFrequencyContainer"][1]
    high["speed"]["speedValue"], high["heading"]["headingValue"] = 16_383, 3601
    heard = cam.heard_of(cam.decode(cam.encode(tree)))
    assert heard is not None
    assert all(math.isnan(each) for each in heard[:4])


def test_a_roadside_unit_has_no_body() -> None:
    tree = cam.tree_of(replace(TOLD), 48.0, 11.0, False)
    tree["cam"]["camParameters"]["highFrequencyContainer"] = ("rsuContainerHighFrequency", {})
    assert cam.heard_of(cam.decode(cam.encode(tree))) is None


@pytest.mark.parametrize("module", [cam, denm])
def test_without_pycrate_it_is_told_before_the_first_message(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module._type.cache_clear()
    monkeypatch.setitem(sys.modules, "pycrate_asn1dir", None)
    with pytest.raises(MissingTool, match="pycrate"):
        Receiver()
    monkeypatch.undo()
    Receiver()
