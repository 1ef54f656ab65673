"""BSM Part I: our fixed layout, pycrate and asn1tools agree on every message and on every refusal."""

from __future__ import annotations

from functools import cache
from typing import Any

import asn1tools
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentforge.phase7_adas.drive.v2x import bsm
from agentforge.phase7_adas.drive.v2x.bsm import CORE
from agentforge.phase7_adas.drive.v2x.layout import Field, Layout
from agentforge.phase7_adas.drive.v2x.pycrated import Undecodable

CORES = st.fixed_dictionaries({each.name: st.integers(each.low, each.high) for each in CORE.fields})


@cache
def independent() -> Any:
    return asn1tools.compile_string(bsm.ASN1, "uper")


def independently(octets: bytes) -> dict[str, int]:
    """asn1tools' word on it, in the flat names."""
    tree = independent().decode("BsmCore", octets, check_constraints=True)
    pattern, bits = tree["brakes"]["wheelBrakes"]
    assert bits == 5
    tree["brakes"]["wheelBrakes"] = (pattern[0] >> 3, 5)
    return bsm._flat(tree)


def read_one(octets: bytes) -> tuple[dict[str, int], bool]:
    rows, good = CORE.read(np.frombuffer(octets, dtype=np.uint8)[None])
    return dict(zip(CORE.at, rows[0].tolist(), strict=True)), bool(good[0])


@settings(max_examples=60, deadline=None)
@given(CORES)
def test_three_coders_give_the_same_octets_and_the_same_values(core: dict[str, int]) -> None:
    octets = CORE.write(core)
    assert bsm.encode(core) == octets
    tree = bsm._tree(core)
    tree["brakes"]["wheelBrakes"] = (bytes([core["wheelBrakes"] << 3]), 5)
    assert independent().encode("BsmCore", tree) == octets
    assert len(octets) == 37
    assert read_one(octets) == (core, True)
    assert bsm.decode(octets) == core
    assert independently(octets) == core


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=37, max_size=37))
def test_what_one_refuses_all_refuse(octets: bytes) -> None:
    values, good = read_one(octets)
    try:
        by_pycrate: dict[str, int] | None = bsm.decode(octets)
    except Undecodable:
        by_pycrate = None
    padded = octets[36] & 0x3F == 0  # which only ours looks at
    assert good == (by_pycrate is not None and padded)
    if by_pycrate is not None:
        assert values == by_pycrate
    try:
        by_other: dict[str, int] | None = independently(octets)
    except (asn1tools.DecodeError, asn1tools.ConstraintsError):
        by_other = None
    assert good == (by_other is not None and padded)


@given(st.integers(0, 2**32 - 1))
def test_padding_that_is_not_zero_is_refused(number: int) -> None:
    core = {each.name: each.low + number % (each.high - each.low + 1) for each in CORE.fields}
    octets = CORE.write(core)
    assert read_one(octets)[1]
    assert not read_one(octets[:-1] + bytes([octets[-1] | 1]))[1]


@pytest.mark.parametrize("field", CORE.fields, ids=lambda field: field.name)
def test_values_out_of_range_are_not_written(field: Field) -> None:
    core = {each.name: each.low for each in CORE.fields}
    for wrong in (field.low - 1, field.high + 1):
        with pytest.raises(ValueError, match=field.name):
            CORE.write(core | {field.name: wrong})


@pytest.mark.parametrize("octets", [b"", bytes(36), bytes(38)])
def test_another_length_is_undecodable(octets: bytes) -> None:
    with pytest.raises(Undecodable):
        bsm.decode(octets)


def test_field_widths_are_the_publicly_known_ones() -> None:
    known = {"msgCnt": 7, "id": 32, "secMark": 16, "lat": 31, "long": 32, "elev": 16, "speed": 13, "heading": 15}
    assert {name: CORE.fields[CORE.at[name]].bits for name in known} == known
    assert CORE.bits == 290


def test_a_layout_refuses_fields_that_it_cannot_hold() -> None:
    with pytest.raises(ValueError, match="32 bits"):
        Layout([Field("wide", 0, 2**40)])
    with pytest.raises(ValueError, match="32 bits"):
        Layout([Field("nothing", 3, 3)])


def test_many_at_once_are_the_same_as_one_by_one() -> None:
    rng = np.random.default_rng(1)
    octets = rng.integers(0, 256, (300, 37), dtype=np.uint8)
    rows, good = CORE.read(octets)
    for n in range(300):
        assert (dict(zip(CORE.at, rows[n].tolist(), strict=True)), bool(good[n])) == read_one(octets[n].tobytes())
