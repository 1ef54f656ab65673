"""One body is one track, whatever it is taken for, and it goes where it goes."""

from dataclasses import replace

import numpy as np
import pytest

from agentforge.phase7_adas.drive.agent import Seen
from agentforge.phase7_adas.drive.fusion.agent import Fusion
from agentforge.phase7_adas.drive.fusion.evidence import STANDING
from agentforge.phase7_adas.drive.messages import Detections, Source, Tracks
from agentforge.phase7_adas.drive.sensors.spec import SPECS
from agentforge.phase7_adas.drive.truth import SPEED, Kind, X

pytestmark = pytest.mark.requirement("SR2")

TICK_US = 50_000
CAR, PERSON = (Kind.VEHICLE, [4.5, 1.9, 1.5], 2.25), (Kind.PEDESTRIAN, [0.5, 0.5, 1.7], 0.25)
Told = tuple[Kind, list[float], float]


def given(t_us: int, *told: tuple[Told, float, float], rate: float = np.nan, echo: float = 0.0) -> Detections:
    """Each told as a kind, at the place of its near side, straight ahead or nearly."""
    side = np.array([[x, y] for _, x, y in told])
    depth = np.array([kind[2] for kind, _, _ in told])
    sight = side / np.linalg.norm(side, axis=1, keepdims=True)
    many = len(told)
    return Detections(
        t_us, side + depth[:, None] * sight, np.tile(np.eye(2) * 0.09, (many, 1, 1)),
        np.array([kind[1] for kind, _, _ in told]), np.array([int(kind[0]) for kind, _, _ in told]),
        np.full(many, 0.9), np.full(many, rate), np.full(many, int(Source.LIDAR)), depth,
        np.full(many, echo if np.isfinite(rate) else np.nan),
    )  # fmt: skip


def look(fusion: Fusion, detections: Detections, speed: float = 0.0) -> Tracks:
    state = STANDING.state_6.copy()
    state[SPEED], state[X] = speed, speed * detections.t_us / 1e6
    return fusion.track(Seen(detections.t_us, replace(STANDING, t_us=detections.t_us, state_6=state), detections))


def test_a_car_that_is_now_and_then_taken_for_a_person_is_one_car_in_one_place() -> None:
    fusion = Fusion()
    for tick in range(1, 60):
        told = PERSON if tick % 3 == 0 else CAR
        tracks = look(fusion, given(tick * TICK_US, (told, 30.0, 0.0)))
        if tick > 10:
            assert len(tracks.id_N) == 1, tick
            assert tracks.kind_N[0] == Kind.VEHICLE
            assert tracks.mean_N4[0, :2] == pytest.approx([32.25, 0.0], abs=0.3)
            assert tracks.size_N3[0, 0] == pytest.approx(4.5, abs=0.1)


def test_a_person_that_turns_out_to_be_a_car_keeps_its_side_where_it_is() -> None:
    fusion = Fusion()
    for tick in range(1, 30):
        told = PERSON if tick < 12 else CAR
        tracks = look(fusion, given(tick * TICK_US, (told, 30.0, 0.0)))
    assert tracks.kind_N.tolist() == [Kind.VEHICLE]
    assert tracks.mean_N4[0, :2] == pytest.approx([32.25, 0.0], abs=0.2)
    assert np.abs(tracks.mean_N4[0, 2:]).max() < 0.3


def test_a_second_car_in_a_car_dies_and_the_person_before_it_lives() -> None:
    fusion = Fusion()
    for tick in range(1, 40):
        both = given(tick * TICK_US, (CAR, 30.0, 0.0), (PERSON, 28.9, 0.8), (CAR, 31.0, 0.6))
        tracks = look(fusion, both)
    assert sorted(tracks.kind_N.tolist()) == [Kind.VEHICLE, Kind.PEDESTRIAN]


def test_two_cars_behind_each_other_and_beside_each_other_are_two() -> None:
    fusion = Fusion()
    for tick in range(1, 30):
        tracks = look(fusion, given(tick * TICK_US, (CAR, 20.0, 0.0), (CAR, 26.0, 0.0), (CAR, 20.0, 2.6)))
    assert len(tracks.id_N) == 3


def test_an_echo_from_a_cars_corner_pushes_it_nowhere() -> None:
    """It drives beside us, as fast as we do: no range rate at any corner, and no speed across."""
    fusion, speed = Fusion(), 14.0
    x, y = 3.0, 3.0
    corner = float(np.arctan2(y - 0.9, x - 2.0 - SPECS.radar.mount_x_m))
    for tick in range(1, 60):
        tracks = look(fusion, given(tick * TICK_US, (CAR, x, y), rate=0.0, echo=corner), speed)
    assert tracks.mean_N4[0, 2:] == pytest.approx([speed, 0.0], abs=0.4)


def test_what_stands_is_told_as_standing_and_what_rolls_off_is_not() -> None:
    rng = np.random.default_rng(3)
    for speed, moves in ((0.0, False), (1.3, True)):
        fusion = Fusion()
        for tick in range(1, 60):
            x = 25.0 + speed * tick * 0.05
            tracks = look(fusion, given(tick * TICK_US, (CAR, x + rng.normal(0, 0.1), rng.normal(0, 0.1))))
        assert (np.abs(tracks.mean_N4[0, 2:]).max() > 0) == moves


def test_an_echo_from_nowhere_is_refused_alone() -> None:
    fusion = Fusion()
    for tick in range(1, 5):
        bad = given(tick * TICK_US, (CAR, 30.0, 0.0), (CAR, 50.0, 0.0), rate=-3.0)
        bad.echo_rad_N[1] = np.inf
        tracks = look(fusion, bad)
    assert len(tracks.id_N) == 1
    assert fusion.counts["detections/bad row"] == 4


def test_who_the_radar_does_not_hear_while_it_hears_others_is_thought_slow() -> None:
    """A row of glimpses would else become a car that comes along it."""
    both = given(TICK_US, (CAR, 15.0, 6.0), (CAR, 60.0, 0.0), rate=0.0)
    both.range_rate_N[1] = both.echo_rad_N[1] = np.nan
    deaf = given(TICK_US, (CAR, 15.0, 6.0), (CAR, 60.0, 0.0))
    for detections, spread_mps in ((both, 2.0), (deaf, 8.0)):
        fusion = Fusion()
        look(fusion, detections)
        assert np.sqrt(fusion.bank.rows.cov[1, 2, 2]) == pytest.approx(spread_mps, rel=0.01)


def test_doubtful_detections_raise_nobodys_existence() -> None:
    """Of a body that is there, they are often a second one."""
    fusion = Fusion()
    for tick in range(1, 12):
        look(fusion, given(tick * TICK_US, (CAR, 30.0, 0.0)))
    fusion.bank.rows.odds[:] = 1.0
    doubtful = replace(given(12 * TICK_US, (CAR, 30.0, 0.0)), confidence_N=np.array([0.25]))
    look(fusion, doubtful)
    assert fusion.bank.rows.odds[0] <= 1.0
    look(fusion, given(13 * TICK_US, (CAR, 30.0, 0.0)))
    assert fusion.bank.rows.odds[0] > 1.0
