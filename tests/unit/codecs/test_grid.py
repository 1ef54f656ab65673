"""Grids, ternary weights and plain numbers: what decodes is what the format says, and near to what it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agentforge.codecs.decode import decode
from agentforge.codecs.encode import encode
from agentforge.codecs.payload import Broken, Payload, Stream
from agentforge.codecs.spec import Spec
from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.quantise import per_weight, survivors

W_OI = np.random.default_rng(0).normal(0, 0.02, (24, 150)).astype(np.float32)  # the last group of a row has 22


def lost(spec: Spec, w: np.ndarray = W_OI) -> float:
    """Mean square, of that of the weights."""
    return float(np.square(decode(encode(w, spec)) - w).mean() / np.square(w).mean())


def grid(**settings: Any) -> Spec:
    return Spec("grid", settings)


@pytest.mark.parametrize("scale_bits", [16, 8])
@pytest.mark.parametrize("zero", [0, 1])
@pytest.mark.parametrize("bits", [2, 5, 8])
def test_a_grid_decodes_as_its_words_say(bits: int, zero: int, scale_bits: int) -> None:
    """One weight at a time, in Python's own numbers."""
    payload = encode(W_OI, grid(bits=bits, zero=zero, scale_bits=scale_bits))
    found = decode(payload)
    held = {name: stream.values for name, stream in payload.streams.items()}
    assert found.dtype == np.float32
    for row, column in ((0, 0), (3, 63), (3, 64), (23, 149)):
        group = column // 64
        centre = held["zeros"][row, group] * 2.0 ** (bits - 8) if zero else 2 ** (bits - 1)
        scale = float(held["scales"][row, group])
        if scale_bits == 8:
            scale = (scale - 128) * float(held["units"][0, 0])
        expected = np.float32(np.float32(held["codes"][row, column] - np.float32(centre)) * np.float32(scale))
        assert found[row, column] == expected


@pytest.mark.parametrize("zero", [0, 1])
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_the_search_loses_less_than_meeting_the_largest(bits: int, zero: int) -> None:
    """Known of Gaussian weights: the best grid of 2 bits loses .119 of their square, of 3 .0374, of 4 .0115."""
    searched, largest = (lost(grid(bits=bits, zero=zero, fit=fit)) for fit in ("mse", "max"))
    assert searched < 0.9 * largest
    assert searched < {2: 0.135, 3: 0.035, 4: 0.009}[bits]
    assert lost(grid(bits=bits, zero=zero, scale_bits=8)) < 1.05 * searched


def test_hqq_bears_outliers_better_than_the_start_that_it_moves() -> None:
    w_OI = np.random.default_rng(1).laplace(0, 0.02, (64, 128)).astype(np.float32)

    def size(fit: str) -> float:
        return float((np.abs(decode(encode(w_OI, grid(bits=3, fit=fit, zero=1))) - w_OI) ** 0.7).mean())

    assert size("hqq") < 0.97 * size("max")


def test_zeros_stay_zero_where_steps_meet_the_largest_and_in_symmetric_grids() -> None:
    w_OI = np.where(np.random.default_rng(2).random(W_OI.shape) < 0.5, 0, W_OI + np.float32(0.01))
    w_OI[5] = 0
    for settings in ({"fit": "max", "zero": 1}, {"fit": "max"}, {"fit": "mse"}, {"fit": "mse", "scale_bits": 8}):
        assert (decode(encode(w_OI, grid(bits=4, **settings)))[w_OI == 0] == 0).all()


def test_rows_that_lie_far_from_zero_and_tensors_of_other_axes_are_met() -> None:
    assert lost(grid(bits=8, zero=1), W_OI + 1) < 1e-4
    deep = W_OI.reshape(2, 3, 4, 150)
    assert np.array_equal(decode(encode(deep, grid())), decode(encode(W_OI, grid())).reshape(deep.shape))
    assert lost(grid(bits=8), W_OI[0]) < 1e-4


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (grid(bits=9), "grid.bits"),
        (grid(bits=True), "grid.bits"),
        (grid(group=0), "grid.group"),
        (grid(fit="best"), "grid.fit"),
        (grid(fit="hqq", zero=0), "grid.zero"),
        (grid(levels=3), "grid.levels"),
        (Spec("float", {"bits": 8}), "float.bits"),
        (Spec("ternary", {"scale": "group"}), "ternary.group"),
        (Spec("zstd"), "codec"),
    ],
)
def test_settings_that_are_none_are_refused(spec: Spec, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        encode(W_OI, spec)
    assert caught.value.field == field


def test_what_is_not_finite_is_refused_also_when_rounding_makes_it_so() -> None:
    for spec, value in ((grid(), np.nan), (grid(bits=2), 1e6), (Spec("float", {"bits": 16}), 1e6)):
        with pytest.raises(InvalidInput, match="not finite"):
            encode(np.full((2, 4), value, np.float32), spec)


@pytest.mark.parametrize("kind", ["i8", "u1", "b1", "f8", "i4"])
def test_buffers_keep_their_type_and_every_bit(kind: str) -> None:
    values = (
        np.random.default_rng(0).normal(0, 99, (3, 5)) if kind == "f8" else np.arange(15).reshape(3, 5)
    ).astype(kind)
    found = decode(encode(values, Spec("float", {"bits": 16})))
    assert found.dtype == values.dtype
    assert np.array_equal(found, values)


def test_floats_of_16_bits_come_back_as_float32() -> None:
    assert np.array_equal(decode(encode(W_OI, Spec("float"))), W_OI)
    half = decode(encode(W_OI, Spec("float", {"bits": 16})))
    assert half.dtype == np.float32
    assert np.array_equal(half, W_OI.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize(("scale", "group"), [("tensor", 0), ("channel", 0), ("group", 50)])
def test_ternary_weights_are_those_of_the_one_quantiser(scale: Any, group: int) -> None:
    found = decode(encode(W_OI, Spec("ternary", {"scale": scale, "group": group})))
    code_OI, scale_AG = survivors(torch.from_numpy(W_OI), scale, group)
    assert np.array_equal(found, (code_OI * per_weight(scale_AG, 150)).numpy())


def altered(payload: Payload, **changes: Any) -> Payload:
    streams = {name: each for name, each in {**payload.streams, **changes}.items() if isinstance(each, Stream)}
    settings = payload.settings | {name: each for name, each in changes.items() if isinstance(each, int)}
    return payload._replace(streams=streams, settings=settings)


@pytest.mark.parametrize(
    "changes",
    [
        {"scales": None}, {"bits": 3}, {"group": 32}, {"group": 0}, {"extra": Stream(W_OI)},
        {"codes": Stream(np.zeros((24, 150), np.uint8), 17)}, {"codes": Stream(np.zeros((24, 151), np.uint8), 16)},
        {"units": Stream(np.ones((2, 1), np.float16))}, {"zeros": Stream(np.zeros((24, 3), np.float32))},
    ],
)  # fmt: skip
def test_a_grid_of_streams_that_do_not_fit_is_broken(changes: dict[str, Any]) -> None:
    with pytest.raises(Broken):
        decode(altered(encode(W_OI, grid()), **changes))


def test_ternary_scales_that_do_not_fit_are_broken() -> None:
    payload = encode(W_OI, Spec("ternary"))
    for shape in ((23, 1), (24, 0), (24, 7), (24,)):
        with pytest.raises(Broken, match="scales"):
            decode(altered(payload, scales=Stream(np.ones(shape, np.float16))))
    with pytest.raises(Broken, match="codec 'zstd'"):
        decode(payload._replace(codec="zstd"))
