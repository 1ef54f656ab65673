import numpy as np
import pytest

from agentforge.phase7_adas.drive.sensors.geometry import rays, view, visible
from agentforge.phase7_adas.drive.truth import Kind
from tests.unit.adas_drive.sensors.places import truth

CAR, PERSON, THING = Kind.VEHICLE, Kind.PEDESTRIAN, Kind.OBSTACLE


def test_a_ray_meets_the_near_and_the_far_wall() -> None:
    seen = view(truth((CAR, 30.0, 0.0, 0.0)), mount_x_m=2.0, range_m=100.0)
    near, far = rays(seen, np.array([0.0, 0.5]))
    assert near[0, 0] == pytest.approx(30.0 - 2.25 - 2.0)
    assert far[0, 0] == pytest.approx(30.0 + 2.25 - 2.0)
    assert np.isinf(near[0, 1])
    assert np.isinf(far[0, 1])


def test_what_is_behind_or_too_far_is_not_in_view() -> None:
    seen = view(truth((CAR, -20.0, 0.0, 0.0), (CAR, 300.0, 0.0, 0.0), (CAR, 50.0, 3.0, 0.0)), 0.0, 100.0)
    assert seen.index_N.tolist() == [2]


def test_velocity_is_relative_to_the_ego() -> None:
    seen = view(truth((CAR, 30.0, 0.0, 4.0), speed=10.0), 0.0, 100.0)
    assert seen.velocity_N2[0] == pytest.approx([-6.0, 0.0])


def test_a_person_behind_a_car_is_hidden_and_one_beside_it_is_not() -> None:
    seen = view(truth((CAR, 20.0, 0.0, 0.0), (PERSON, 26.0, 0.0, 0.0), (PERSON, 26.0, 4.0, 0.0)), 0.0, 100.0)
    part, before = visible(seen, mount_z_m=1.0)
    assert part[0] == 1.0
    assert part[1] == 0.0
    assert part[2] == 1.0
    assert before.tolist() == [0, 1, 0]


def test_a_low_thing_hides_only_what_is_low() -> None:
    seen = view(truth((THING, 20.0, 0.0, 0.0), (PERSON, 22.0, 0.0, 0.0)), 0.0, 100.0)
    part, _ = visible(seen, mount_z_m=0.5)
    assert 0.3 < part[1] < 0.8


def test_nobody() -> None:
    part, before = visible(view(truth(), 0.0, 100.0), 1.0)
    assert len(part) == len(before) == 0
