import dataclasses

import numpy as np
import pytest

from agentforge.phase7_adas.drive.messages import PLAN_SPEED, PLAN_STEPS, PLAN_Y, Mode, Predictions, Source, Tracks
from agentforge.phase7_adas.drive.planning.agent import Planning
from agentforge.phase7_adas.drive.planning.limits import own_way_m
from agentforge.phase7_adas.drive.truth import Kind
from tests.unit.adas_drive.planning.bench import straight
from tests.unit.adas_drive.planning.roads import AVENUE, MIDDLE, RIGHT, STREET, scene, tracks

pytestmark = pytest.mark.requirement("SR3")


def test_an_empty_road_is_driven_at_the_limit() -> None:
    plan = Planning().step(scene(tracks(0)))
    assert plan.feasible
    assert plan.states_T5.shape == (PLAN_STEPS, 5)
    assert plan.states_T5[0, :2] == pytest.approx([60.0, RIGHT], abs=0.05)
    assert 13.0 < plan.states_T5[-1, PLAN_SPEED] <= STREET.speed_limit_mps + 0.1
    limits = {"reverse", "acceleration", "jerk", "curvature", "road", "speed"}
    assert set(plan.refused) == limits | {"collision", "unseen"}


def test_what_stands_ahead_ends_the_way() -> None:
    plan = Planning().step(scene(tracks(0, (95.0, RIGHT, 0.0, 0.0))))
    assert plan.feasible
    assert plan.refused["collision"] > 0
    assert plan.states_T5[-1, 0] + 2.3 < 95.0 - 2.25
    assert plan.states_T5[-1, PLAN_SPEED] < 4.0


def test_a_wall_right_ahead_is_not_feasible_and_the_stop_is_hard() -> None:
    plan = Planning().step(scene(tracks(0, (70.0, RIGHT, 0.0, 0.0)), speed=14.0))
    assert not plan.feasible
    assert plan.command.accel_mps2 < -4.0 or plan.states_T5[5, PLAN_SPEED] < 10.5
    assert np.isnan(plan.cost)


@pytest.mark.parametrize(("busy", "changes"), [(False, True), (True, False)])
def test_past_a_parked_car_only_where_the_neighbour_lane_is_free(busy: bool, changes: bool) -> None:
    rows = [(100.0, RIGHT, 0.0, 0.0)]
    if busy:  # a queue in the lane beside, as fast as the ego
        rows += [(60.0 + away, MIDDLE, 12.0, 0.0) for away in (-14.0, -7.0, 0.0, 7.0, 14.0)]
    plan = Planning().step(scene(tracks(0, *rows), road=AVENUE))
    assert plan.feasible
    assert (plan.states_T5[-1, PLAN_Y] > MIDDLE - 1.0) == changes


def test_never_into_an_oncoming_lane() -> None:
    """The same parked car, but the lane beside belongs to those who come."""
    plan = Planning().step(scene(tracks(0, (100.0, RIGHT, 0.0, 0.0)), road=STREET))
    assert plan.states_T5[:, PLAN_Y].max() + 0.95 <= own_way_m(STREET)
    assert plan.refused["collision"] > 0


def test_who_follows_closely_does_not_forbid_braking() -> None:
    plan = Planning().step(scene(tracks(0, (95.0, RIGHT, 0.0, 0.0), (53.0, RIGHT, 12.0, 0.0))))
    assert plan.feasible
    assert plan.states_T5[-1, PLAN_SPEED] < 4.0


def test_an_unlikely_way_into_the_lane_is_no_reason_to_brake_hard() -> None:
    there = tracks(0, (85.0, MIDDLE, 0.0, 0.0))
    on = straight(there).xy_NKT2
    into = on.copy()
    into[..., 1] = np.linspace(MIDDLE, RIGHT, on.shape[2])

    def planned(probability: float) -> float:
        ways = Predictions(
            0, there.id_N, np.concatenate([on, into], axis=1), np.array([[1 - probability, probability]]),
            np.full((1, 2, on.shape[2]), 0.3),
        )  # fmt: skip
        return float(Planning().step(scene(there, predictions=ways)).states_T5[-1, PLAN_SPEED])

    assert planned(0.9) < planned(0.011) - 2.0


def test_modes_bound_what_is_planned() -> None:
    def end(mode: Mode) -> float:
        return float(Planning().step(scene(tracks(0), mode=mode)).states_T5[-1, PLAN_SPEED])

    speeds = [end(mode) for mode in (Mode.NORMAL, Mode.DEGRADED, Mode.MINIMAL_RISK, Mode.EMERGENCY)]
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[1] < 0.8 * STREET.speed_limit_mps
    assert speeds[3] == 0.0
    hard = Planning().step(scene(tracks(0), mode=Mode.EMERGENCY)).states_T5[:, 4].min()
    soft = Planning().step(scene(tracks(0), mode=Mode.MINIMAL_RISK)).states_T5[:, 4].min()
    assert hard < -8.0
    assert -4.5 < soft < -0.5


@pytest.mark.parametrize("spoil", ["ego", "tracks", "predictions", "shape", "sizes"])
def test_bad_input_gives_the_stop_and_never_raises(spoil: str) -> None:
    good = scene(tracks(0, (95.0, RIGHT, 0.0, 0.0)))
    state, mean = good.ego.state_6.copy(), good.tracks.mean_N4.copy()
    xy, size = good.predictions.xy_NKT2.copy(), good.tracks.size_N3.copy()
    state[2], mean[0, 1], xy[0, 0, 3, 1], size[0, 0] = np.nan, np.inf, np.nan, np.nan
    bad = {
        "ego": dataclasses.replace(good, ego=dataclasses.replace(good.ego, state_6=state)),
        "tracks": dataclasses.replace(good, tracks=dataclasses.replace(good.tracks, mean_N4=mean)),
        "predictions": dataclasses.replace(good, predictions=dataclasses.replace(good.predictions, xy_NKT2=xy)),
        "shape": dataclasses.replace(good, ego=dataclasses.replace(good.ego, state_6=np.zeros(3))),
        "sizes": dataclasses.replace(good, tracks=dataclasses.replace(good.tracks, size_N3=size)),
    }[spoil]
    planning = Planning()
    plan = planning.step(bad)
    assert planning.error
    assert not plan.feasible
    assert plan.command.accel_mps2 <= -8.0
    assert np.isfinite(plan.states_T5).all()
    assert Planning().step(good).feasible
    assert planning.step(dataclasses.replace(good, t_us=50_000)).feasible  # and the next tick is as good as ever


def test_predictions_of_tracks_that_are_gone_are_ignored_and_the_rest_go_straight_on() -> None:
    there = tracks(0, (95.0, RIGHT, 0.0, 0.0))
    other = dataclasses.replace(straight(there), id_N=np.array([99]))
    plan = Planning().step(scene(there, predictions=other))
    assert plan.states_T5[-1, 0] + 2.3 < 95.0 - 2.25


def test_a_noisy_state_near_the_plan_does_not_shake_it() -> None:
    def second(off: float) -> float:
        planning, first = Planning(), scene(tracks(0))
        planning.step(first)
        state = first.ego.state_6.copy()
        state[0] += 0.05 * 12.0
        state[1] += off
        again = dataclasses.replace(first, t_us=50_000, ego=dataclasses.replace(first.ego, state_6=state))
        return float(planning.step(again).states_T5[0, PLAN_Y])

    assert second(0.2) == pytest.approx(RIGHT, abs=0.02)
    assert second(0.8) == pytest.approx(RIGHT + 0.8, abs=0.05)  # too far off: it begins from where the ego is


def test_the_same_scenes_give_the_same_bytes() -> None:
    given = scene(tracks(0, (95.0, RIGHT, 2.0, 0.0), (80.0, -1.5, 0.0, 1.0)))
    one, two = Planning().step(given), Planning().step(given)
    assert one.states_T5.tobytes() == two.states_T5.tobytes()
    assert one.command == two.command


def test_slower_past_people_at_the_kerb() -> None:
    free = Planning().step(scene(tracks(0), speed=9.0)).states_T5[-1, PLAN_SPEED]
    kerb = tracks(0, (100.0, -1.0, 0.0, 0.0), kind=Kind.PEDESTRIAN)
    assert Planning().step(scene(kerb, speed=9.0)).states_T5[-1, PLAN_SPEED] < free - 1.5


def lone(sources: int, age_us: int) -> Tracks:
    """Something that stands 26 m ahead, told of by these."""
    there = tracks(0, (90.5, RIGHT, 0.0, 0.0), sources=sources)
    return dataclasses.replace(there, age_us_N=np.array([age_us]))


def test_a_ghost_of_one_sensor_is_slowed_for_but_not_braked_hard_for() -> None:
    young = Planning().step(scene(lone(int(Source.LIDAR), 50_000), speed=14.0))
    old = Planning().step(scene(lone(int(Source.LIDAR), 600_000), speed=14.0))
    two = Planning().step(scene(lone(int(Source.LIDAR | Source.CAMERA), 50_000), speed=14.0))
    assert young.feasible
    assert -4.0 < young.states_T5[:, 4].min() < -0.3
    for sure in (old, two):
        assert sure.states_T5[:, 4].min() < young.states_T5[:, 4].min() - 1.0


def test_v2x_alone_is_never_a_reason_for_a_hard_brake() -> None:
    told = Planning().step(scene(lone(int(Source.V2X), 5_000_000), speed=14.0))
    assert told.feasible
    assert told.states_T5[:, 4].min() > -4.0


def test_a_far_collision_that_nothing_avoids_is_not_braked_for_with_everything() -> None:
    """Somebody comes the wrong way on a one-lane street: far, then near."""
    far = Planning().step(scene(tracks(0, (160.0, RIGHT, -14.0, 0.0))))
    near = Planning().step(scene(tracks(0, (95.0, RIGHT, -14.0, 0.0))))
    assert not near.feasible
    assert near.states_T5[0, 4] <= -8.0
    assert far.states_T5[:, 4].min() > -6.0


def test_who_comes_is_believed_to_keep_its_lane_until_it_moves_across() -> None:
    """A way into our lane, as a straight guess makes it in a bend."""

    def least(across: float) -> float:
        there = tracks(0, (125.0, MIDDLE, -11.0, across))
        into = straight(there).xy_NKT2
        into[..., 1] = np.linspace(MIDDLE, RIGHT - 2.0, into.shape[2])
        ways = dataclasses.replace(straight(there), xy_NKT2=into)
        return float(Planning().step(scene(there, predictions=ways)).states_T5[:, 4].min())

    assert least(-0.2) > -0.5
    assert least(-1.6) < -2.0


@pytest.mark.parametrize(("d", "across", "slows"), [(6.3, -1.2, False), (5.25, -1.5, True), (5.25, -0.6, False)])
def test_who_comes_from_the_far_side_of_its_lane_comes_back_to_the_middle(
    d: float, across: float, slows: bool
) -> None:
    """Across as fast as that from the middle, it would be in our lane before we meet."""
    plan = Planning().step(scene(tracks(0, (120.0, d, -12.0, across))))
    assert (plan.states_T5[:, PLAN_SPEED].min() < 11.0) == slows
