import numpy as np
import pytest

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.readings import AZIMUTH, RANGE, RANGE_RATE, SNR_DB
from agentforge.phase7_adas.drive.sensors.radar import Radar
from agentforge.phase7_adas.drive.sensors.spec import SPECS, RadarSpec
from agentforge.phase7_adas.drive.truth import Kind
from tests.unit.adas_drive.sensors.places import truth

CAR, PERSON, THING = Kind.VEHICLE, Kind.PEDESTRIAN, Kind.OBSTACLE
QUIET = RadarSpec(clutter_per_scan=0.0)


def scans(*bodies: tuple[Kind, float, float, float], spec: RadarSpec = QUIET, many: int = 60) -> list[np.ndarray]:
    radar, there = Radar(spec), truth(*bodies)
    return [radar.take(there, Rng(2, "test/radar", each).numpy()) for each in range(many)]


def test_the_seeds_radar() -> None:
    spec = SPECS.radar
    assert (spec.carrier_hz, spec.range_m, spec.claimed_integrity) == (77e9, 200.0, "ASIL-D")


def test_range_is_within_a_decimetre() -> None:
    nearest = np.array([each[:, RANGE].min() for each in scans((CAR, 50.0, 0.0, 0.0))])
    off = nearest - (50.0 - 2.25 - QUIET.mount_x_m)
    assert (np.abs(off) <= 0.1).mean() > 0.85
    assert abs(off.mean()) < 0.08


def test_range_rate_is_relative_to_the_moving_sensor() -> None:
    rates = np.concatenate([each[:, RANGE_RATE] for each in scans((CAR, 50.0, 0.0, 4.0))])
    assert np.median(rates) == pytest.approx(-6.0, abs=0.1)


def test_left_is_positive() -> None:
    angles = np.concatenate([each[:, AZIMUTH] for each in scans((PERSON, 30.0, 10.0, 0.0))])
    assert np.median(angles) == pytest.approx(np.arctan2(10.0, 30.0 - QUIET.mount_x_m), abs=0.01)


def test_a_car_behind_a_car_is_weaker_yet_seen() -> None:
    free = scans((CAR, 40.0, 0.0, 10.0))
    behind = scans((CAR, 25.0, 0.0, 10.0), (CAR, 40.0, 0.0, 10.0))
    strong = np.median([each[:, SNR_DB].max() for each in free])
    weak = [each[each[:, RANGE] > 33.0, SNR_DB] for each in behind]
    assert np.mean([len(each) > 0 for each in weak]) > 0.9
    assert np.median(np.concatenate(weak)) < strong - 8.0


def test_a_person_is_lost_where_a_car_is_not() -> None:
    assert np.mean([len(each) > 0 for each in scans((CAR, 160.0, 0.0, 0.0))]) > 0.8
    assert np.mean([len(each) > 0 for each in scans((PERSON, 160.0, 0.0, 0.0))]) < 0.05
    assert np.mean([len(each) > 0 for each in scans((PERSON, 40.0, 0.0, 0.0))]) > 0.95


def test_two_in_one_cell_are_one_return() -> None:
    def count(left: float) -> float:
        return float(np.mean([len(each) for each in scans((THING, 50.0, 0.45, 0.0), (THING, 50.0, left, 0.0))]))

    assert count(8.0) > 1.7
    assert count(1.4) < 1.1


def test_clutter_comes_at_its_rate() -> None:
    many = np.mean([len(each) for each in scans(spec=SPECS.radar, many=400)])
    assert many == pytest.approx(SPECS.radar.clutter_per_scan, abs=0.25)
    assert all(len(each) == 0 for each in scans(many=5))
