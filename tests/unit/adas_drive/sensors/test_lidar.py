import numpy as np
import pytest

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.sensors.lidar import Lidar
from agentforge.phase7_adas.drive.sensors.spec import SPECS
from agentforge.phase7_adas.drive.truth import Kind, Weather
from tests.unit.adas_drive.sensors.places import truth

CAR, PERSON, THING = Kind.VEHICLE, Kind.PEDESTRIAN, Kind.OBSTACLE


def sweep(*bodies: tuple[Kind, float, float, float], weather: Weather | None = None) -> np.ndarray:
    return Lidar(SPECS.lidar).take(truth(*bodies, weather=weather), Rng(3, "test/lidar").numpy())


def above(points: np.ndarray) -> np.ndarray:
    return points[points[:, 2] > 0.15]


def test_the_seeds_lidar() -> None:
    spec = SPECS.lidar
    assert (spec.channels, spec.range_m, spec.claimed_integrity) == (64, 100.0, "ASIL-C")
    assert len(spec.elevations_C) == 64
    assert np.all(np.diff(spec.elevations_C) > 0)


def test_an_empty_road_gives_ground_alone() -> None:
    points = sweep()
    assert len(points) > 1000
    assert len(above(points)) == 0
    assert np.abs(points[:, 2]).max() < 0.1


def test_a_car_gives_its_rear_wall() -> None:
    points = above(sweep((CAR, 20.0, 0.0, 0.0)))
    rear = points[points[:, 2] < 1.3]
    assert len(rear) > 50
    assert np.median(rear[:, 0]) == pytest.approx(20.0 - 2.25, abs=0.05)
    assert np.abs(points[:, 1]).max() < 1.0
    assert points[:, 2].max() < 1.6


def test_a_roof_below_the_sensor_gives_points() -> None:
    points = above(sweep((CAR, 8.0, 0.0, 0.0)))
    roof = points[np.abs(points[:, 2] - 1.5) < 0.05]
    assert roof[:, 0].max() > 6.5


def test_a_car_hides_who_stands_behind_it() -> None:
    alone = above(sweep((PERSON, 14.0, 0.0, 0.0)))
    behind = above(sweep((CAR, 9.0, 0.0, 0.0), (PERSON, 14.0, 0.0, 0.0)))
    assert (alone[:, 0] > 13.0).sum() > 50
    assert (behind[:, 0] > 13.0).sum() < 0.3 * (alone[:, 0] > 13.0).sum()


def test_points_fall_with_distance_and_end() -> None:
    counts = [len(above(sweep((CAR, far, 0.0, 0.0)))) for far in (20.0, 60.0, 90.0, 180.0)]
    assert counts[0] > counts[1] > counts[2] > 0
    assert counts[3] == 0


def test_fog_takes_far_returns_and_adds_near_clutter() -> None:
    fog = Weather(fog=1.0)
    assert len(above(sweep((CAR, 70.0, 0.0, 0.0)))) > 0
    points = above(sweep((CAR, 70.0, 0.0, 0.0), weather=fog))
    assert (points[:, 0] > 60).sum() == 0
    assert (np.hypot(points[:, 0], points[:, 1]) < 20).sum() > 20
    assert (above(sweep((THING, 10.0, 0.0, 0.0), weather=fog))[:, 0] > 9.0).sum() > 10


def test_everything_is_finite_and_within_its_bounds() -> None:
    points = sweep((CAR, 3.0, 0.0, 0.0), (PERSON, 2.0, 2.0, 0.0), weather=Weather(0.5, 0.5, 1.0, 1.0))
    assert np.isfinite(points).all()
    assert points[:, 3].min() >= 0.0
    assert points[:, 3].max() <= 1.0
