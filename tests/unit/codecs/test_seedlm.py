"""Registers, the search against a plain one, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from agentforge.codecs.decode import decode
from agentforge.codecs.decode.seedlm import TAPS, cycle, numbers, step
from agentforge.codecs.encode import encode
from agentforge.codecs.payload import Broken, Payload, Stream
from agentforge.codecs.spec import Spec
from agentforge.codecs.write import smallest
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng

GAUSS = Rng(0, "gauss").numpy().standard_normal((48, 30)).astype(np.float32)  # of blocks of 8, one across rows


def lost(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.square(found - wanted).sum() / np.square(wanted).sum())


@pytest.mark.parametrize("width", TAPS)
def test_a_register_goes_through_all_states_but_zero(width: int) -> None:
    assert sorted(cycle(width)) == list(range(1, 1 << width))
    assert step(int(cycle(width)[-1]), width) == 1


def test_gaussian_weights_lose_what_was_expected() -> None:
    payload = encode(GAUSS, Spec("seedlm", {"width": 8}))
    assert lost(decode(payload), GAUSS) == pytest.approx(0.095, rel=0.15)
    size = sum(len(smallest(stream, entropy=False)[1]) for stream in payload.streams.values())
    assert 8 * size / GAUSS.size == 3


def test_no_seed_does_better_with_its_coefficients_rounded() -> None:
    """All seeds of some blocks, with coefficients of least squares rounded to every power of two near."""
    width, w_NC = 6, GAUSS.reshape(-1, 8)[:6].astype(np.float64)
    u = numbers(np.arange(1, 1 << width), width, 8, 2) / (2 ** (width - 1) - 1)
    t = np.linalg.pinv(u, rcond=1e-9) @ w_NC.T  # [S, 2, N]
    best = np.full(len(w_NC), np.inf)
    for power in range(-8, 6):
        q = np.clip(np.rint(t / 2.0**power), -8, 7) * 2.0**power
        best = np.minimum(best, np.square(u @ q - w_NC.T).sum(1).min(0))
    found = decode(encode(w_NC.astype(np.float32), Spec("seedlm", {"width": width, "rank": 2})))
    ours = np.square(found - w_NC).sum(1)
    assert ours.sum() <= best.sum() * (1 + 1e-6)
    assert ours.sum() >= 0.8 * best.sum()  # and nothing is reported that is too good


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1.0, 1e20])
def test_weights_of_any_size(scale: float) -> None:
    weight = GAUSS[:8] * np.float32(scale)
    found = decode(encode(weight, Spec("seedlm", {"width": 6})))
    assert found.shape == weight.shape
    assert np.square(found.astype(np.float64) - weight).sum() <= 0.25 * np.square(weight.astype(np.float64)).sum()


def test_same_bytes_each_time() -> None:
    one, other = (encode(GAUSS[:8], Spec("seedlm")) for _ in range(2))
    assert all(np.array_equal(one.streams[name].values, other.streams[name].values) for name in one.streams)


@pytest.mark.parametrize(("name", "value"), [("width", 3), ("rank", 0), ("block", 2), ("blocks", 8)])
def test_bad_settings_are_refused(name: str, value: int) -> None:
    with pytest.raises(InvalidInput, match=name):
        encode(GAUSS, Spec("seedlm", {name: value}))


def test_weights_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InvalidInput, match="not finite"):
        encode(np.full((2, 8), np.nan, np.float32), Spec("seedlm", {"width": 4}))


def test_broken_payloads() -> None:
    good = encode(GAUSS[:8], Spec("seedlm", {"width": 6}))

    def with_stream(name: str, values: np.ndarray, levels: int) -> Payload:
        return good._replace(streams={**good.streams, name: Stream(values, levels)})

    seeds, exponents = good.streams["seeds"].values, good.streams["exponents"].values
    broken = {
        "0, which is no state": with_stream("seeds", seeds * 0, 64),
        "symbol 64": with_stream("seeds", np.full_like(seeds, 64), 64),
        "levels": with_stream("seeds", seeds, 128),
        "exponents": with_stream("exponents", exponents[1:], 16),
        "missing": good._replace(streams={"seeds": good.streams["seeds"]}),
        "width": good._replace(settings={**good.settings, "width": 3}),
        "seeds is": good._replace(shape=(8, 31)),
    }
    for text, payload in broken.items():
        with pytest.raises(Broken, match=text):
            decode(payload)
