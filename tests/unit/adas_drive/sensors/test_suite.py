from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from agentforge.kit.errors import InvalidInput
from agentforge.phase7_adas.drive.injected import FaultKind, InjectedFault
from agentforge.phase7_adas.drive.readings import (
    RANGE,
    CameraReading,
    GpsReading,
    ImuReading,
    LidarReading,
    RadarReading,
    Reading,
)
from agentforge.phase7_adas.drive.sensors.spec import SPECS, CameraSpec, LidarSpec, Specs
from agentforge.phase7_adas.drive.sensors.suite import Suite
from agentforge.phase7_adas.drive.truth import Kind, X
from tests.unit.adas_drive.sensors.places import truth

pytestmark = pytest.mark.requirement("SR5")

CAR = Kind.VEHICLE
# few pixels and rays: these tests are about time and faults
SMALL = Specs(
    camera=CameraSpec(binning=40, dropout=0.0),
    lidar=LidarSpec(azimuth_step_rad=0.02, dropout=0.0),
    radar=replace(SPECS.radar, dropout=0.0, clutter_per_scan=0.0),
    gps=replace(SPECS.gps, dropout=0.0),
)


@cache
def drive(*faults: InjectedFault, seconds: float = 2.0, seed: int = 1, far: float = 30.0) -> list[Reading]:
    """A car goes ahead of the ego, both at 10 m/s."""
    suite, made = Suite(faults, seed, SMALL), []
    for step in range(round(seconds * 100)):
        now = truth((CAR, far, 0.0, 10.0), t_us=step * 10_000)
        now.ego_6[X] += step * 0.1
        now.others.state_N6[:, X] += step * 0.1
        arrived = suite.read(now)
        assert all(now.t_us - 10_000 < each.stamp.arrived_us <= now.t_us for each in arrived)
        made += arrived
    return made


def of(readings: Iterable[Reading], sensor: str) -> list[Reading]:
    return [each for each in readings if each.stamp.sensor == sensor]


def fault(kind: FaultKind, where: str, amount: float = 1.0, since: float = 0.0) -> InjectedFault:
    return InjectedFault(kind, where, amount, from_us=round(since * 1e6))


def test_each_at_its_rate() -> None:
    many = Counter(each.stamp.sensor for each in drive(seconds=3.0))
    wanted = {spec.name: 3e6 / spec.period_us for spec in SMALL.all()}
    assert many.keys() == wanted.keys()
    for name, count in many.items():
        assert count == pytest.approx(wanted[name], abs=2.01)


def test_each_after_its_latency_and_in_order() -> None:
    readings = drive()
    for spec in SMALL.all():
        for each in of(readings, spec.name):
            late = each.stamp.arrived_us - each.stamp.taken_us
            assert spec.latency_us <= late <= spec.latency_us + spec.jitter_us
        sequence = [each.stamp.sequence for each in of(readings, spec.name)]
        assert sequence == list(range(len(sequence)))


def same(one: Reading, two: Reading) -> bool:
    pairs = zip(vars(one).values(), vars(two).values(), strict=True)
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)


def test_the_same_seed_gives_the_same_readings() -> None:
    one, two, other = drive(seconds=0.5), drive(seconds=0.5), drive(seconds=0.5, seed=2)
    assert len(one) == len(two)
    assert all(same(a, b) for a, b in zip(one, two, strict=True))
    assert not all(same(a, b) for a, b in zip(of(one, "gps"), of(other, "gps"), strict=True))


def test_a_fault_of_one_sensor_leaves_the_others_as_they_are() -> None:
    good, bad = drive(seconds=0.6), drive(fault(FaultKind.GARBAGE, "lidar"), seconds=0.6)
    for name in ("camera", "radar", "imu", "gps"):
        assert all(same(a, b) for a, b in zip(of(good, name), of(bad, name), strict=True))


def test_time_never_goes_back() -> None:
    suite = Suite((), 1, SMALL)
    suite.read(truth(t_us=10_000))
    with pytest.raises(ValueError, match="not later"):
        suite.read(truth(t_us=10_000))


@pytest.mark.parametrize("sensor", ["camera", "radar", "lidar", "imu", "gps"])
def test_dropout(sensor: str) -> None:
    assert of(drive(fault(FaultKind.DROPOUT, sensor, 1.0, since=1.0)), sensor)[-1].stamp.taken_us < 1_000_000
    some = len(of(drive(fault(FaultKind.DROPOUT, sensor, 0.5), seconds=3.0), sensor))
    assert 0.2 < some / len(of(drive(seconds=3.0), sensor)) < 0.8


@pytest.mark.parametrize("sensor", ["radar", "gps", "imu"])
def test_frozen_payload_with_fresh_stamps(sensor: str) -> None:
    frozen = [
        e for e in of(drive(fault(FaultKind.FREEZE, sensor, since=1.0)), sensor) if e.stamp.taken_us >= 1_000_000
    ]
    assert len(frozen) > 2
    assert len({each.stamp.sequence for each in frozen}) == len(frozen)
    assert all(same(replace(each, stamp=frozen[0].stamp), frozen[0]) for each in frozen)


def test_stale_readings_keep_their_old_stamp() -> None:
    late = [
        e for e in of(drive(fault(FaultKind.STALE, "radar", since=1.0)), "radar") if e.stamp.arrived_us > 1_050_000
    ]
    assert len(late) > 5
    assert {each.stamp.taken_us for each in late} == {950_000}
    assert len({each.stamp.arrived_us for each in late}) == len(late)


def test_delay_and_skew() -> None:
    delayed = of(drive(fault(FaultKind.DELAY, "gps", 0.5)), "gps")
    assert all(each.stamp.arrived_us - each.stamp.taken_us >= 560_000 for each in delayed)
    skewed = of(drive(fault(FaultKind.SKEW, "gps", 0.25)), "gps")
    assert all(each.stamp.taken_us - each.stamp.arrived_us > 150_000 for each in skewed)


def test_noise() -> None:
    def spread(*faults: InjectedFault) -> float:
        return float(np.std([e.gyro_3[0] for e in drive(*faults) if isinstance(e, ImuReading)]))

    assert spread(fault(FaultKind.NOISE, "imu", 10.0)) > 5 * spread()


def test_blind_from_the_middle_outwards() -> None:
    half = [e for e in drive(fault(FaultKind.BLIND, "camera", 0.5), seconds=0.3) if isinstance(e, CameraReading)]
    width = half[0].image_HW.shape[1]
    assert (half[0].image_HW[:, width // 2 - 2 : width // 2 + 2] == half[0].image_HW[0, width // 2]).all()
    assert half[0].image_HW[:, : width // 5].std() > 5
    points = [e for e in drive(fault(FaultKind.BLIND, "lidar", 1.0), seconds=0.3) if isinstance(e, LidarReading)]
    assert all(len(each.points_N4) == 0 for each in points)


def test_a_ghost_keeps_its_distance() -> None:
    ghostly = drive(fault(FaultKind.GHOST, "radar", 15.0), far=60.0)
    near = [e.returns_N4[e.returns_N4[:, RANGE] < 20.0] for e in ghostly if isinstance(e, RadarReading)]
    assert len(near) > 20
    assert all(len(each) for each in near)
    assert np.concatenate(near)[:, RANGE].std() < 0.2
    real = [e.returns_N4[e.returns_N4[:, RANGE] < 20.0] for e in drive(far=60.0) if isinstance(e, RadarReading)]
    assert not any(len(each) for each in real)


def test_missed_bodies_give_no_return() -> None:
    deaf = drive(fault(FaultKind.MISS, "radar", 1.0))
    assert all(len(each.returns_N4) == 0 for each in deaf if isinstance(each, RadarReading))
    assert all(len(each.returns_N4) for each in drive() if isinstance(each, RadarReading))


def test_jump_and_bias() -> None:
    here = np.array([e.xy_2 for e in drive() if isinstance(e, GpsReading)])
    there = np.array([e.xy_2 for e in drive(fault(FaultKind.JUMP, "gps", 25.0)) if isinstance(e, GpsReading)])
    assert np.linalg.norm(there - here, axis=1) == pytest.approx(np.full(len(here), 25.0))
    turn = [e.gyro_3[2] for e in drive(fault(FaultKind.BIAS, "imu", 0.3)) if isinstance(e, ImuReading)]
    assert np.mean(turn) == pytest.approx(0.3, abs=0.02)
    far = [
        e.returns_N4[0, RANGE] for e in drive(fault(FaultKind.BIAS, "radar", 7.0)) if isinstance(e, RadarReading)
    ]
    true = [e.returns_N4[0, RANGE] for e in drive() if isinstance(e, RadarReading)]
    assert np.array(far) - np.array(true) == pytest.approx(np.full(len(far), 7.0))


@pytest.mark.parametrize("sensor", ["camera", "radar", "lidar", "imu", "gps"])
def test_garbage_is_of_all_kinds(sensor: str) -> None:
    payloads = [list(vars(e).values())[1] for e in of(drive(fault(FaultKind.GARBAGE, sensor)), sensor)]
    numbers = [each for each in payloads if each.dtype.kind == "f"]
    assert any(np.isnan(each).any() for each in numbers)
    assert any(np.isinf(each).any() for each in numbers)
    assert any(each.shape == (3, 7, 2) for each in numbers)
    assert any(each.dtype.kind == "U" for each in payloads)


def test_a_fault_ends() -> None:
    brief = InjectedFault(FaultKind.JUMP, "gps", 50.0, from_us=400_000, until_us=1_000_000)
    bad, good = (np.array([e.xy_2 for e in d if isinstance(e, GpsReading)]) for d in (drive(brief), drive()))
    off = (np.abs(bad - good).sum(axis=1) > 1).tolist()
    assert off[:2] == [False, False]
    assert off[2:5] == [True, True, True]
    assert not any(off[5:])


@pytest.mark.parametrize(
    ("kind", "where", "amount"),
    [
        (FaultKind.JUMP, "camera", 1.0),
        (FaultKind.BLIND, "radar", 0.5),
        (FaultKind.DROPOUT, "gps", 1.5),
        (FaultKind.DELAY, "gps", -1.0),
        (FaultKind.NOISE, "imu", float("nan")),
    ],
)
def test_faults_that_no_sensor_can_have(kind: FaultKind, where: str, amount: float) -> None:
    with pytest.raises(InvalidInput, match=r"cannot have|no amount"):
        Suite([InjectedFault(kind, where, amount)], 1, SMALL)


def test_faults_of_others_are_not_ours() -> None:
    Suite([InjectedFault(FaultKind.CRASH, "planning"), InjectedFault(FaultKind.SPOOF, "v2x", 30.0)], 1, SMALL)
