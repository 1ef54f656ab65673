"""Clusters, links, matching."""

from dataclasses import replace

import numpy as np
import pytest

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.perception.boxes import (
    completed,
    depths,
    fits,
    kinds_of,
    shown_across,
    within,
)
from agentforge.phase7_adas.drive.perception.lidar import Clusters, clusters
from agentforge.phase7_adas.drive.perception.linking import NONE, camera_to_clusters, echoes_to_bodies
from agentforge.phase7_adas.drive.perception.matching import NOBODY, match
from agentforge.phase7_adas.drive.perception.radar import echoes, groups
from agentforge.phase7_adas.drive.sensors.lidar import Lidar
from agentforge.phase7_adas.drive.sensors.spec import SPECS
from agentforge.phase7_adas.drive.truth import Kind, Weather
from tests.unit.adas_drive.sensors.places import truth

CAR, PERSON, THING = Kind.VEHICLE, Kind.PEDESTRIAN, Kind.OBSTACLE
EYE = np.array([SPECS.lidar.mount_x_m, 0.0])


def seen(*bodies: tuple[Kind, float, float, float], weather: Weather | None = None) -> Clusters:
    return clusters(Lidar(SPECS.lidar).take(truth(*bodies, weather=weather), Rng(3, "test/clusters").numpy()))


def test_one_cluster_for_each_body_and_none_for_the_road() -> None:
    assert len(seen()) == 0
    found = seen((CAR, 30.0, 3.0, 0.0), (PERSON, 20.0, -3.0, 0.0), (THING, 15.0, 1.0, 0.0))
    kinds = kinds_of(found)
    xy, heading, size = completed(found, kinds, EYE)
    # the far end of a roof may fall apart from the rear
    whole = ~within(found.xy_N2, xy, heading, size, kinds, found.points_N)
    assert sorted(kinds[whole].tolist()) == [Kind.VEHICLE, Kind.PEDESTRIAN, Kind.OBSTACLE]


def test_the_middle_is_behind_the_wall_that_is_seen() -> None:
    found = seen((CAR, 30.0, 0.0, 0.0))
    assert found.xy_N2[0, 0] < 28.5
    xy, heading, size = completed(found, kinds_of(found), EYE)
    assert xy[0] == pytest.approx([30.0, 0.0], abs=0.4)
    assert abs(heading[0, 0]) > 0.98
    assert size[0] == pytest.approx([4.4, 1.8, 1.5], abs=0.3)


def test_drops_of_rain_are_not_bodies() -> None:
    found = seen(weather=Weather(rain=1.0, fog=0.5))
    assert len(found) <= 2


def test_no_points_at_all() -> None:
    assert len(clusters(np.zeros((0, 4)))) == 0


def test_a_part_of_a_lorry_is_not_a_body() -> None:
    xy = np.array([[30.0, 0.0], [32.0, 0.5], [30.0, 5.0]])
    heading = np.tile([1.0, 0.0], (3, 1))
    size = np.array([[8.0, 2.5, 3.0], [0.5, 0.5, 1.0], [0.5, 0.5, 1.7]])
    kinds = np.array([0, 3, 2])
    assert within(xy, xy, heading, size, kinds, np.array([200, 5, 40])).tolist() == [False, True, False]


def test_camera_boxes_go_to_the_cluster_in_their_direction_and_at_their_distance() -> None:
    xy = np.array([[20.0, 0.0], [40.0, 0.5], [20.0, 8.0]])
    bearing, half = np.array([0.0125, 0.38]), np.array([0.02, 0.02])
    free = np.ones((2, 3), dtype=bool)
    link = camera_to_clusters(bearing, half, np.array([38.0, 21.0]), xy, np.zeros(2), free)
    assert link.tolist() == [1, 2]
    free[0, 1] = False
    assert camera_to_clusters(bearing, half, np.array([38.0, 21.0]), xy, np.zeros(2), free)[0] == NONE
    none = camera_to_clusters(bearing, half, np.array([38.0, 21.0]), np.zeros((0, 2)), np.zeros(2), free[:, :0])
    assert none.tolist() == [NONE, NONE]


def test_radar_returns_go_to_the_body_about_them() -> None:
    returns = np.array([[37.8, 0.0, -6.0, 30.0], [37.9, 0.02, -6.0, 25.0], [60.0, 0.3, -10.0, 15.0]])
    found = echoes(returns, np.array([0.0, 0.0, 0.0, 10.0, 0.0, 0.0]), SPECS.radar)
    assert found.ground_N[:2] == pytest.approx([4.0, 4.0], abs=0.01)
    body = (np.array([[42.2, 0.3]]), np.array([[4.5, 1.8, 1.5]]), np.array([0.3]))
    link = echoes_to_bodies(found, *body, np.array([SPECS.radar.mount_x_m, 0.0]))
    assert link.tolist() == [0, 0, NONE]


def test_free_returns_that_go_alike_are_one_group() -> None:
    returns = np.array(
        [[50.0, 0.0, -6.0, 20.0], [51.0, 0.01, -6.1, 30.0], [50.5, 0.0, 5.0, 25.0], [90.0, 0.2, 0.0, 15.0]]
    )
    found = echoes(returns, np.zeros(6), SPECS.radar)
    assert [sorted(each.tolist()) for each in groups(found, np.arange(4))] == [[0, 1], [2], [3]]


def test_matching_is_one_to_one_and_a_sure_one_wins() -> None:
    told, true = np.array([[30.2, 0.0], [31.0, 0.0], [80.0, 20.0]]), np.array([[30.0, 0.0], [60.0, 3.0]])
    assert match(told, true, np.zeros(2), np.array([0.2, 0.9, 0.9])).tolist() == [NOBODY, 0, NOBODY]
    assert match(told, true, np.zeros(2), np.array([0.9, 0.9, 0.9])).tolist() == [0, NOBODY, NOBODY]
    assert match(np.zeros((0, 2)), true, np.zeros(2), np.zeros(0)).tolist() == []


def test_matching_refuses_what_is_beside() -> None:
    assert match(np.array([[30.0, 2.0]]), np.array([[30.0, 0.0]]), np.zeros(1), np.ones(1)).tolist() == [NOBODY]
    assert match(np.array([[34.0, 0.5]]), np.array([[30.0, 0.0]]), np.zeros(1), np.ones(1)).tolist() == [0]


def test_a_camera_box_of_doubtful_distance_takes_the_returns_of_one_body() -> None:
    returns = np.array([[40.0, 0.0, 0.0, 30.0], [41.0, 0.01, 0.0, 25.0], [58.0, 0.0, 0.0, 30.0]])
    found = echoes(returns, np.zeros(6), SPECS.radar)
    body = (np.array([[44.0, 0.0]]), np.array([[4.5, 1.8, 1.5]]), np.array([8.0]))
    assert echoes_to_bodies(found, *body, np.array([SPECS.radar.mount_x_m, 0.0])).tolist() == [0, 0, NONE]


def test_who_leaves_the_view_stays_where_it_is() -> None:
    """Its rear is cut off by the edge of the view: what is missing is behind, not ahead."""
    for x in (6.0, 3.5, 2.2, 1.4):
        found = seen((CAR, x, -3.0, 0.0))
        assert found.cut_N.tolist() == [x < 5.0], x
        assert found.axes_N2[0] == pytest.approx([1.0, 0.0])
        xy, _, _ = completed(found, np.array([CAR]), EYE)
        assert xy[0] == pytest.approx([x, -3.0], abs=0.3), x
    unaware, _, _ = completed(replace(found, cut_N=np.array([False])), np.array([CAR]), EYE)
    assert unaware[0, 0] > 3.5  # a car that drives along with us


def test_somebody_beside_a_car_makes_it_no_wider() -> None:
    """Her points and the car's are one cluster."""
    found = seen((CAR, 9.0, -3.0, 0.0), (PERSON, 9.0, -4.6, 0.0))
    assert len(found) == 1
    assert (found.high_N2 - found.low_N2)[0].min() > 2.3
    xy, _, size = completed(found, kinds_of(found), EYE)
    assert xy[0] == pytest.approx([9.0, -3.0], abs=0.3)
    assert size[0, 1] < 2.0


def test_near_by_a_glimpse_is_no_car_and_far_away_it_may_be() -> None:
    near, far = seen((PERSON, 12.0, 1.0, 0.0)), seen((PERSON, 40.0, 1.0, 0.0))
    assert not fits(near, np.array([CAR])).any()
    assert fits(near, np.array([PERSON])).all()
    assert fits(far, np.array([CAR])).all()


def test_how_deep_and_how_broad_a_body_shows_itself() -> None:
    size = np.array([[4.4, 1.8, 1.5]])
    away, ahead, across = np.array([[20.0, 0.0]]), np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert depths(away, ahead, size) == pytest.approx([2.2])
    assert depths(away, across, size) == pytest.approx([0.9])
    assert shown_across(seen((CAR, 30.0, 0.0, 0.0)), EYE[0]) == pytest.approx([1.8], abs=0.4)
    assert shown_across(seen((CAR, 12.0, -9.0, 0.0)), EYE[0])[0] > 2.5
