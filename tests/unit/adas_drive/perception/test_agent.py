from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from agentforge.phase7_adas.drive.messages import Source
from agentforge.phase7_adas.drive.perception.agent import Perception
from agentforge.phase7_adas.drive.perception.sights import only
from agentforge.phase7_adas.drive.truth import YAW_RATE, Kind, Truth, Weather, X
from tests.unit.adas_drive.perception.sensed import NOW_US, sight
from tests.unit.adas_drive.sensors.places import truth

pytestmark = pytest.mark.requirement("SR1")

CAR, PERSON, THING = Kind.VEHICLE, Kind.PEDESTRIAN, Kind.OBSTACLE


@cache
def agent() -> Perception:
    return Perception()


def nearest(told: Any, x: float, y: float) -> tuple[int, float]:
    away = np.hypot(told.xy_N2[:, 0] - x, told.xy_N2[:, 1] - y)
    return int(away.argmin()), float(away.min())


def test_a_car_ahead_is_told_by_all_three() -> None:
    told = agent().step(sight(truth((CAR, 25.0, 0.0, 4.0))))
    which, away = nearest(told, 25.0, 0.0)
    assert away < 0.7
    assert told.confidence_N[which] > 0.9
    assert told.kind_N[which] == Kind.VEHICLE
    assert told.sources_N[which] == Source.CAMERA | Source.RADAR | Source.LIDAR
    assert told.range_rate_N[which] == pytest.approx(-6.0, abs=0.5)
    assert (told.confidence_N > 0.5).sum() == 1


def test_a_person_is_a_person() -> None:
    told = agent().step(sight(truth((PERSON, 18.0, 2.0, 0.0))))
    which, away = nearest(told, 18.0, 2.0)
    assert away < 0.5
    assert told.kind_N[which] == Kind.PEDESTRIAN
    assert told.confidence_N[which] > 0.8


@pytest.mark.parametrize("heard", [("camera", "radar", "lidar"), ("lidar", "radar")])
@pytest.mark.parametrize(("mps", "kind"), [(11.0, Kind.VEHICLE), (3.0, Kind.PEDESTRIAN)])
def test_what_shows_little_and_drives_is_part_of_a_vehicle(heard: tuple[str, ...], mps: float, kind: Kind) -> None:
    """Far away a car's front falls apart: what is left of it has the size of a person, and radar tells that it is
    none. It is completed away from the sensors, as any vehicle."""
    told = agent().step(only(sight(truth((PERSON, 40.0, 2.0, mps))), *heard))
    which = int(told.confidence_N.argmax())
    assert told.kind_N[which] == kind
    assert told.size_N3[which, 0] > 4.0 if kind == Kind.VEHICLE else told.size_N3[which, 0] < 1.0
    deeper = told.xy_N2[which, 0] - 40.0
    assert 1.2 < deeper < 2.8 if kind == Kind.VEHICLE else abs(deeper) < 0.6


def test_debris_that_the_camera_does_not_know_is_found() -> None:
    given = sight(truth((THING, 20.0, 0.0, 0.0)))
    for heard in (given, only(given, "lidar", "radar"), only(given, "lidar")):
        told = agent().step(heard)
        which, away = nearest(told, 20.0, 0.0)
        assert away < 0.8
        assert told.confidence_N[which] > 0.5


def test_an_empty_road_tells_of_nothing_sure() -> None:
    told = agent().step(sight(truth()))
    assert (told.confidence_N > 0.5).sum() == 0


@pytest.mark.parametrize("sensor", ["camera", "radar", "lidar"])
def test_each_alone_finds_a_car(sensor: str) -> None:
    told = agent().step(only(sight(truth((CAR, 25.0, 0.0, 4.0))), sensor))
    which, away = nearest(told, 25.0, 0.0)
    assert away < 4.0
    assert told.confidence_N[which] > 0.5
    assert told.sources_N[which] == Source[sensor.upper()]
    assert np.isnan(told.range_rate_N[which]) == (sensor != "radar")


def test_covariance_is_one_and_the_camera_alone_is_less_sure_of_distance() -> None:
    given = sight(truth((CAR, 40.0, 5.0, 4.0)))
    spreads = {}
    for sensors in (("camera",), ("camera", "radar"), ("camera", "radar", "lidar")):
        told = agent().step(only(given, *sensors))
        assert np.allclose(told.cov_N22, told.cov_N22.transpose(0, 2, 1))
        assert (np.linalg.eigvalsh(told.cov_N22) > 0).all()
        spreads[len(sensors)] = np.linalg.eigvalsh(told.cov_N22[nearest(told, 40.0, 5.0)[0]])[-1]
    assert spreads[1] > 1.5 * spreads[2]
    assert spreads[1] > 3 * spreads[3]


def gone(since: Truth, seconds: float) -> Truth:
    """The same world after the ego went on."""
    made = replace(since, ego_6=since.ego_6.copy())
    made.ego_6[X] += since.ego_6[3] * seconds
    return made


def test_readings_are_brought_to_now() -> None:
    then = truth((CAR, 40.0, 0.0, 0.0), speed=20.0)
    told = agent().step(sight(then, age_us=100_000, now=gone(then, 0.1)))
    assert nearest(told, 38.0, 0.0)[1] < 0.7
    still = agent().step(sight(then, age_us=0))
    assert nearest(still, 40.0, 0.0)[1] < 0.7


def test_turning_turns_what_is_seen() -> None:
    then = truth((CAR, 40.0, 0.0, 0.0), speed=0.0)
    then.ego_6[YAW_RATE] = 0.5
    told = agent().step(only(sight(then, age_us=100_000), "lidar"))
    assert nearest(told, 40.0 * np.cos(0.05), -40.0 * np.sin(0.05))[1] < 0.7


def test_radar_tells_how_far_a_mover_went_meanwhile() -> None:
    then = truth((CAR, 40.0, 0.0, 30.0), speed=0.0)
    told = agent().step(sight(then, age_us=200_000))
    assert nearest(told, 46.0, 0.0)[1] < 1.0


BAD: list[tuple[str, Any, str]] = [
    ("nan", lambda a: np.full(a.shape, np.nan), "numbers"),
    ("infinite", lambda a: np.full(a.shape, np.inf), "numbers"),
    ("shape", lambda a: np.zeros((3, 7, 2)), "shape"),
    ("flat", lambda a: np.zeros(12), "shape"),
    ("text", lambda a: np.array(["no", "numbers"]), "shape"),
    ("none", lambda a: None, "shape"),
    ("list", lambda a: a.tolist(), "shape"),
    ("whole numbers", lambda a: np.zeros((5, 4), dtype=np.int64), "shape"),
    ("huge", lambda a: np.full((5, 4), 1e300), "values"),
    ("too many", lambda a: np.zeros((300_000, 4)), "many"),
]
FIELDS = {"camera": "image_HW", "radar": "returns_N4", "lidar": "points_N4"}


@pytest.mark.parametrize("sensor", list(FIELDS))
@pytest.mark.parametrize(("name", "make", "why"), BAD)
def test_garbage_is_dropped_and_counted_and_the_others_go_on(sensor: str, name: str, make: Any, why: str) -> None:
    perception = Perception(detector=agent()._detector, confidence=agent().confidence)
    given = sight(truth((CAR, 25.0, 0.0, 4.0)))
    reading = getattr(given, sensor)
    bad = replace(reading, **{FIELDS[sensor]: make(getattr(reading, FIELDS[sensor]))})
    told = perception.step(replace(given, **{sensor: bad}))
    assert sum(perception.dropped.values()) == 1
    assert perception.dropped[f"{sensor}:{'shape' if sensor == 'camera' else why}"] == 1
    which, away = nearest(told, 25.0, 0.0)
    assert away < 1.5
    assert not told.sources_N[which] & Source[sensor.upper()]


@pytest.mark.parametrize(
    ("taken", "good"), [(NOW_US - 290_000, True), (NOW_US - 310_000, False), (NOW_US + 50_000, False)]
)
def test_readings_of_another_time(taken: int, good: bool) -> None:
    perception = Perception(detector=agent()._detector, confidence=agent().confidence)
    given = only(sight(truth((CAR, 25.0, 0.0, 10.0))), "lidar")
    assert given.lidar is not None
    late = replace(given.lidar, stamp=replace(given.lidar.stamp, taken_us=taken))
    told = perception.step(replace(given, lidar=late))
    assert (len(told.kind_N) > 0) == good
    assert perception.dropped["lidar:time"] == (not good)


def test_an_ego_of_no_numbers_and_silence_give_no_detections() -> None:
    perception = Perception(detector=agent()._detector, confidence=agent().confidence)
    given = sight(truth((CAR, 25.0, 0.0, 4.0)))
    assert len(perception.step(only(given)).kind_N) == 0
    lost = replace(given, ego=replace(given.ego, state_6=np.full(6, np.nan)))
    assert len(perception.step(lost).kind_N) == 0
    assert perception.dropped["ego:numbers"] == 1


def test_the_same_sight_gives_the_same_bytes() -> None:
    given = sight(truth((CAR, 25.0, 0.0, 4.0), (PERSON, 30.0, 4.0, 1.0), weather=Weather(rain=0.5)))
    one, two = agent().step(given), agent().step(given)
    assert agent().marks(given) is None  # without a map there is nothing to hold marks against
    arrays = [name for name in vars(one) if name != "t_us"]
    assert all(np.array_equal(getattr(one, name), getattr(two, name), equal_nan=True) for name in arrays)


@pytest.mark.parametrize("sensor", ["camera", "lidar"])
def test_what_was_made_ahead_is_taken_up_to_the_bit(sensor: str) -> None:
    given = sight(truth((CAR, 25.0, 0.0, 4.0), (PERSON, 30.0, 4.0, 1.0)))
    perception = Perception(detector=agent()._detector, confidence=agent().confidence)
    perception.ahead(getattr(given, sensor))
    made = perception._told if sensor == "camera" else perception._swept
    told, plain = perception.step(given), agent().step(given)
    assert made is (perception._told if sensor == "camera" else perception._swept), "not made again"
    assert all(np.array_equal(getattr(told, name), getattr(plain, name), equal_nan=True) for name in vars(plain))
    # another reading with the same stamp is another reading: nothing of the first is left
    other = getattr(sight(truth((CAR, 12.0, 0.0, 4.0))), sensor)
    given = replace(given, **{sensor: other})
    told, plain = perception.step(given), agent().step(given)
    assert np.array_equal(told.xy_N2, plain.xy_N2)


@pytest.mark.parametrize("sensor", ["camera", "lidar"])
def test_garbage_ahead_is_refused_once_and_by_the_step(sensor: str) -> None:
    perception = Perception(detector=agent()._detector, confidence=agent().confidence)
    given = sight(truth((CAR, 25.0, 0.0, 4.0)))
    array = {"camera": "image_HW", "lidar": "points_N4"}[sensor]
    bad = replace(getattr(given, sensor), **{array: np.zeros((3, 3, 3))})
    perception.ahead(bad)
    assert perception.dropped == {}
    perception.step(replace(given, **{sensor: bad}))
    assert perception.dropped == {f"{sensor}:shape": 1}


def test_fog_hides_a_far_car_from_lidar_and_camera_and_radar_still_tells_it() -> None:
    told = agent().step(sight(truth((CAR, 80.0, 0.0, 0.0), weather=Weather(fog=1.0))))
    which, away = nearest(told, 80.0, 0.0)
    assert away < 4.0
    assert told.sources_N[which] == Source.RADAR
    assert told.confidence_N[which] > 0.5
