"""Numbers of few bits, and symbols by their frequency: what goes in comes out, and what is broken does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentforge.codecs import entropy, packing
from agentforge.codecs.payload import Broken

QUICK = settings(max_examples=40, deadline=None, derandomize=True)


@st.composite
def symbols(draw: st.DrawFn, most: int) -> tuple[np.ndarray, int]:
    levels, count = draw(st.integers(1, most)), draw(st.integers(1, 3000))
    skew = draw(st.sampled_from([0.0, 1.0, 4.0, 20.0]))
    uniform = np.random.default_rng(draw(st.integers(0, 99))).random(count)
    values = np.minimum(uniform ** (1 + skew) * levels, levels - 1)
    return values.astype(np.uint8 if levels <= 256 else np.uint16), levels


@QUICK
@given(case=symbols(1 << 16))
def test_packed_numbers_come_back(case: tuple[np.ndarray, int]) -> None:
    values, levels = case
    bits = packing.width(levels)
    data = packing.pack(values, bits)
    assert len(data) == -(-len(values) * bits // 8)
    found = packing.unpack(data, len(values), bits)
    assert found.dtype == values.dtype
    assert np.array_equal(found, values)


def test_packed_numbers_come_back_across_the_span_that_is_taken_at_once() -> None:
    values = np.random.default_rng(0).integers(0, 8, packing._SPAN + 13, np.uint8)
    assert np.array_equal(packing.unpack(packing.pack(values, 3), len(values), 3), values)


@QUICK
@given(case=symbols(3))
def test_trits_come_back_five_to_a_byte(case: tuple[np.ndarray, int]) -> None:
    data = packing.pack_trits(case[0])
    assert len(data) == -(-len(case[0]) // 5)
    assert np.array_equal(packing.unpack_trits(data, len(case[0])), case[0])


@QUICK
@given(case=symbols(300))
def test_coded_symbols_come_back(case: tuple[np.ndarray, int]) -> None:
    values, levels = case
    found = entropy.decode(entropy.encode(values, levels), len(values), levels)
    assert found.dtype == values.dtype
    assert np.array_equal(found, values)


@pytest.mark.parametrize("levels", [3, 200])
def test_few_lanes_and_many_are_coded_alike(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, levels, 5 * 1024 * 3 + 7, np.uint8)
    found = []
    for few in (0, 8):
        monkeypatch.setattr(entropy, "_FEW", few)
        found.append(entropy.encode(values, levels))
        assert np.array_equal(entropy.decode(found[-1], len(values), levels), values)
    assert found[0] == found[1]


@pytest.mark.parametrize(("levels", "share"), [(3, [0.31, 0.345, 0.345]), (2, [0.99, 0.01]), (16, [1 / 16] * 16)])
def test_they_take_hardly_more_than_they_tell(levels: int, share: list[float]) -> None:
    values = np.random.default_rng(0).choice(levels, 200_000, p=share).astype(np.uint8)
    count = np.bincount(values) / len(values)
    told = -(count * np.log2(count)).sum()
    assert 8 * len(entropy.encode(values, levels)) / len(values) < told * 1.01 + 0.005  # a lane for 1,024


def test_the_bytes_are_those_of_the_format() -> None:
    """A change of what is written makes every file that there is unreadable."""
    data = entropy.encode(np.array([0, 1, 2, 1] * 5, np.uint8), 3)
    assert data.hex() == "019000a0001c87e3440070"
    assert packing.pack(np.array([1, 2, 3, 4, 5], np.uint8), 3).hex() == "d158"
    assert packing.pack_trits(np.array([2, 0, 1, 0, 2, 1], np.uint8)).hex() == "ad01"


@QUICK
@given(case=symbols(40), place=st.floats(0, 1), flip=st.integers(1, 255), cut=st.integers(1, 9))
def test_broken_streams_are_refused_or_differ(
    case: tuple[np.ndarray, int], place: float, flip: int, cut: int
) -> None:
    """The file's digest is what finds every change. Here nothing else than Broken may come of one."""
    values, levels = case
    whole = entropy.encode(values, levels)
    at = min(int(place * len(whole)), len(whole) - 1)
    for data in (whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :], whole[:-cut], whole + b"\0" * cut):
        try:
            found = entropy.decode(data, len(values), levels)
        except Broken:
            continue
        assert found.shape == values.shape
        assert len(data) == len(whole)


@pytest.mark.parametrize(
    ("data", "count", "levels"),
    [(b"", 1, 3), (b"\1", 1, 3), (b"\6" + b"\0" * 40, 9, 3), (b"\1" + b"\xff" * 90, 9, 3), (b"\1\0\0", 1 << 40, 3)],
)
def test_what_is_no_coded_stream_is_refused(data: bytes, count: int, levels: int) -> None:
    with pytest.raises(Broken):
        entropy.decode(data, count, levels)


@pytest.mark.parametrize(("data", "count"), [(b"\xff", 5), (b"\0\0", 5), (b"", 1)])
def test_bytes_that_are_no_trits_are_refused(data: bytes, count: int) -> None:
    with pytest.raises(Broken):
        packing.unpack_trits(data, count)


def test_packed_numbers_that_are_cut_are_refused() -> None:
    with pytest.raises(Broken):
        packing.unpack(b"\0", 9, 1)
