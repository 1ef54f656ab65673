from dataclasses import replace

import numpy as np
import pytest

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.messages import Ego, LaneFix
from agentforge.phase7_adas.drive.perception.marks import Marks
from agentforge.phase7_adas.drive.readings import CameraReading, Stamp
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.sensors.camera import Camera
from agentforge.phase7_adas.drive.sensors.spec import SPECS
from agentforge.phase7_adas.drive.truth import HEADING, Floats, Kind, Truth, Weather, X, Y
from tests.unit.adas_drive.sensors.places import truth

pytestmark = pytest.mark.requirement("SR2")

STRAIGHT = Road(((800.0, 0.0),), lanes=2, oncoming=1)
BEND = Road(((150.0, 0.0), (400.0, 1 / 120.0)), lanes=3, oncoming=1)
NOW_US, AGE_US, SPEED = 1_000_000, 45_000, 12.0


def on(road: Road, s: float, d: float, weather: Weather | None = None) -> Truth:
    """Nobody else there; the ego drives along its lane."""
    heading = float(road.heading(np.array([s]))[0])
    x, y = road.to_world(np.array([s]), np.array([d]))[0]
    ego = np.array([x, y, heading, SPEED, 0.0, 0.0])
    return replace(truth(weather=weather), ego_6=ego)


def reading(seen: Truth, road: Road, number: int = 0) -> CameraReading:
    image = Camera(SPECS.camera, road).take(seen, Rng(number, "test/marks").numpy())
    return CameraReading(Stamp("camera", number, NOW_US - AGE_US, NOW_US), image)


def belief(seen: Truth, left_m: float, ahead_m: float = 0.0, sigma_m: float = 1.0, turn: float = 0.0) -> Ego:
    """Of NOW_US: moved on from what was seen, and off by so much."""
    state = seen.ego_6.copy()
    cos, sin = np.cos(state[HEADING]), np.sin(state[HEADING])
    ahead = ahead_m + SPEED * AGE_US * 1e-6
    state[X] += ahead * cos - left_m * sin
    state[Y] += ahead * sin + left_m * cos
    state[HEADING] += turn
    return Ego(NOW_US, state, np.eye(6) * sigma_m**2, True)


def error_m(fix: LaneFix | None, seen: Truth) -> float:
    assert fix is not None
    heading = seen.ego_6[HEADING]
    place = seen.ego_6[[X, Y]] + fix.ahead_m * np.array([np.cos(heading), np.sin(heading)])
    return float(fix.normal_2 @ place) - fix.offset_m


def found(seen: Truth, road: Road, left_m: float, **how: float) -> LaneFix | None:
    return Marks(SPECS.camera).fix(reading(seen, road), belief(seen, left_m, **how), road)


@pytest.mark.parametrize("left_m", [-2.2, -0.9, 0.0, 0.31, 1.7, 2.4])
@pytest.mark.parametrize(("road", "s", "d"), [(STRAIGHT, 100.0, 1.75), (BEND, 260.0, 5.25), (BEND, 260.0, 1.2)])
def test_it_finds_how_far_across_the_road_it_is(road: Road, s: float, d: float, left_m: float) -> None:
    seen = on(road, s, d)
    assert abs(error_m(found(seen, road, left_m), seen)) < 0.08


@pytest.mark.parametrize(
    "weather", [Weather(darkness=1.0), Weather(rain=1.0), Weather(fog=0.6), Weather(glare=0.7)]
)
def test_weather_does_not_mislead_it(weather: Weather) -> None:
    """It may see nothing; it may not see what is not so."""
    seen = on(STRAIGHT, 100.0, 1.75, weather)
    fix = found(seen, STRAIGHT, 1.0)
    assert fix is None or abs(error_m(fix, seen)) < 0.1


def test_an_error_along_the_road_or_of_the_heading_changes_little() -> None:
    seen = on(STRAIGHT, 100.0, 1.75)
    assert abs(error_m(found(seen, STRAIGHT, 0.5, ahead_m=3.0), seen)) < 0.08
    turned = found(seen, STRAIGHT, 0.5, turn=0.01)
    assert turned is not None
    heading = 0.01  # a line through the place that was seen: the belief's heading is for the filter to weigh
    place = seen.ego_6[[X, Y]] + turned.ahead_m * np.array([np.cos(heading), np.sin(heading)])
    assert abs(float(turned.normal_2 @ place) - turned.offset_m) < 0.2


def test_a_white_car_in_the_lane_beside_is_no_line() -> None:
    seen = on(STRAIGHT, 100.0, 1.75)
    there = truth((Kind.VEHICLE, 9.0, 3.4, 10.0), (Kind.VEHICLE, 16.0, 0.2, 10.0))
    others = replace(there.others, state_N6=there.others.state_N6 + _moved(there, seen))
    assert abs(error_m(found(replace(seen, others=others), STRAIGHT, 0.8), seen)) < 0.1


def _moved(there: Truth, here: Truth) -> Floats:
    return np.concatenate([here.ego_6[:2] - there.ego_6[:2], np.zeros(4)])


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_covered_camera_tells_nothing(level: int) -> None:
    seen = on(STRAIGHT, 100.0, 1.75)
    image = np.full(SPECS.camera.shape, level, dtype=np.uint8)
    noise = Rng(1, "test/covered").numpy().integers(0, 3, image.shape).astype(np.uint8)
    covered = CameraReading(reading(seen, STRAIGHT).stamp, np.clip(image, 0, 250) + noise)
    assert Marks(SPECS.camera).fix(covered, belief(seen, 0.0), STRAIGHT) is None


def test_a_picture_that_repeats_itself_tells_nothing() -> None:
    seen, marks = on(STRAIGHT, 100.0, 1.75), Marks(SPECS.camera)
    picture = reading(seen, STRAIGHT)
    assert marks.fix(picture, belief(seen, 0.2), STRAIGHT) is not None
    assert marks.fix(picture, belief(seen, 0.2), STRAIGHT) is None
    assert marks.fix(reading(seen, STRAIGHT, 1), belief(seen, 0.2), STRAIGHT) is not None


def test_who_is_sure_looks_near_and_looks_everywhere_when_lost() -> None:
    seen, marks = on(STRAIGHT, 100.0, 1.75), Marks(SPECS.camera)
    fixes = [
        marks.fix(reading(seen, STRAIGHT, number), belief(seen, left_m, sigma_m=0.03), STRAIGHT)
        for number, left_m in enumerate((0.0, 2.0, 2.0))
    ]
    assert [fix is None for fix in fixes] == [False, True, False]
    assert abs(error_m(fixes[2], seen)) < 0.08
