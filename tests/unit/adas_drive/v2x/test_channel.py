"""The channel's model: it behaves as it says, and draws what it expects."""

from __future__ import annotations

import numpy as np
import pytest

from agentforge.phase7_adas.drive.v2x.channel import Channel, decoded, delivery_ratio, power_dbm, uncollided
from agentforge.phase7_adas.drive.v2x.radio_spec import DSRC, PC5, RadioSpec

BOTH = pytest.mark.parametrize("spec", [DSRC, PC5], ids=lambda spec: spec.name)
FAR = np.array([1.0, 10.0, 50.0, 100.0, 200.0, 300.0, 400.0, 600.0, 1000.0, 3000.0])


def away(distance_N: np.ndarray) -> np.ndarray:
    return np.column_stack([distance_N, np.zeros(len(distance_N))])


@BOTH
def test_power_falls_by_the_exponent(spec: RadioSpec) -> None:
    near, far = power_dbm(spec, np.array([10.0, 100.0]))
    assert near - far == pytest.approx(10 * spec.exponent)
    # free space over the first metre, by Friis, at 5.9 GHz
    assert power_dbm(spec, np.array([1.0]))[0] == pytest.approx(spec.power_dbm + spec.antennas_db - 47.86, abs=0.01)
    assert np.isfinite(power_dbm(spec, np.array([0.0]))).all()


@BOTH
def test_one_in_ten_is_lost_at_the_sensitivity(spec: RadioSpec) -> None:
    assert decoded(spec, np.array([spec.sensitivity_dbm]))[0] == pytest.approx(0.9)
    assert decoded(spec, np.array([-1e4, 1e4])) == pytest.approx([0.0, 1.0])


@BOTH
def test_farther_and_fuller_is_never_better(spec: RadioSpec) -> None:
    for crowd in (1, 20, 100, 400):
        assert (np.diff(delivery_ratio(spec, FAR, crowd)) <= 1e-12).all()
    kept = [uncollided(spec, crowd) for crowd in range(0, 500, 10)]
    assert (np.diff(kept) <= 1e-12).all()
    assert all(0.0 < each <= 1.0 for each in kept)
    assert kept[-1] < 0.9 * kept[0]


def test_pc5_reaches_farther_and_waits_longer() -> None:
    at = np.array([500.0])
    assert delivery_ratio(PC5, at, 10)[0] > delivery_ratio(DSRC, at, 10)[0]
    numbers = np.arange(200)
    waits = [Channel(spec, 1).deliver(numbers, away(np.full(200, 20.0)), 10).latency_us_N for spec in (DSRC, PC5)]
    assert np.median(waits[0]) < np.median(waits[1])
    assert all(each.min() > 0 and each.max() < 100_000 for each in waits)


@BOTH
@pytest.mark.parametrize("distance_m", [50.0, 350.0, 600.0])
def test_what_is_drawn_is_what_is_expected(spec: RadioSpec, distance_m: float) -> None:
    many = 20_000
    arrived = Channel(spec, 5).deliver(np.arange(many), away(np.full(many, distance_m)), 50).arrived_N
    expected = delivery_ratio(spec, np.array([distance_m]), 50)[0]
    assert arrived.mean() == pytest.approx(expected, abs=5 * np.sqrt(0.25 / many))


def test_shadowing_stays_with_a_link_that_does_not_move() -> None:
    numbers, at = np.arange(400), away(np.full(400, 350.0))
    still, moving = Channel(DSRC, 3), Channel(DSRC, 3)
    first = [
        channel._shadow(numbers, at, np.random.default_rng(1).standard_normal(400)) for channel in (still, moving)
    ]
    fresh = np.random.default_rng(2).standard_normal(400)
    assert np.array_equal(still._shadow(numbers, at, fresh), first[0])
    moved = moving._shadow(numbers, at + 5.0, fresh)
    correlation = np.corrcoef(first[1], moved)[0, 1]
    assert correlation == pytest.approx(np.exp(-np.hypot(5, 5) / DSRC.shadow_m), abs=0.15)
    assert moved.std() == pytest.approx(DSRC.shadow_db, rel=0.15)


def test_the_same_seed_gives_the_same_air_and_another_another() -> None:
    def heard(seed: int) -> list[bool]:
        channel, out = Channel(DSRC, seed), []
        for n in range(10):
            got = channel.deliver(np.array([9, 2, 5]), away(np.array([300.0, 350.0, 400.0]) + n), 30)
            out += [*got.arrived_N.tolist(), *got.latency_us_N.tolist()]
        return out

    assert heard(1) == heard(1) != heard(2)


def test_new_stations_among_known_ones_keep_their_own_links() -> None:
    channel = Channel(DSRC, 1)
    at = away(np.array([100.0, 200.0]))
    first = channel._shadow(np.array([5, 9]), at, np.array([1.0, -1.0]))
    both = channel._shadow(np.array([9, 1, 5]), away(np.array([200.0, 300.0, 100.0])), np.zeros(3))
    assert both.tolist() == [first[1], 0.0, first[0]]


def test_nobody_sending_is_nothing_arriving() -> None:
    got = Channel(PC5, 1).deliver(np.zeros(0, dtype=np.int64), np.zeros((0, 2)), 1)
    assert len(got.arrived_N) == len(got.latency_us_N) == 0
