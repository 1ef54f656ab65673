import numpy as np
import pytest

from agentforge.phase7_adas.drive.closed_loop.reasons import reason_to_stop
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import Bodies, Kind, Truth, Weather

ROAD = Road(pieces=((500.0, 0.0),), lanes=2, oncoming=1)
LANE = ROAD.lane_centre_d(0)


def scene(x: float, y: float, heading: float = 0.0, speed: float = 0.0, ego_speed: float = 12.0) -> Truth:
    """The ego at 100 m in its lane, and one pedestrian or car."""
    ego = np.array([100.0, LANE, 0.0, ego_speed, 0.0, 0.0])
    state = np.array([[x, y, heading, speed, 0.0, 0.0]])
    other = Bodies(np.array([1]), np.array([Kind.VEHICLE]), state, np.array([[4.0, 1.8, 1.5]]))
    return Truth(0, ego, np.array([4.6, 1.9, 1.5]), other, Weather())


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        (scene(120.0, LANE), True),
        (scene(200.0, LANE), False),  # too far to stop for yet
        (scene(200.0, LANE, ego_speed=22.0), True),
        (scene(85.0, LANE), False),  # behind
        (scene(120.0, LANE + 3.5), False),  # parked in the other lane
        (scene(120.0, LANE + 5.0, -np.pi / 2, 2.0), True),  # and on its way into ours
        (scene(120.0, LANE + 5.0, np.pi / 2, 2.0), False),
    ],
)
def test_what_is_a_reason(truth: Truth, reason: bool) -> None:
    assert reason_to_stop(truth, ROAD) is reason


def test_an_empty_road_gives_none() -> None:
    nobody = Bodies(*(np.zeros((0, *shape)) for shape in ((), (), (6,), (3,))))  # type: ignore[arg-type]
    assert not reason_to_stop(Truth(0, np.zeros(6), np.ones(3), nobody, Weather()), ROAD)
