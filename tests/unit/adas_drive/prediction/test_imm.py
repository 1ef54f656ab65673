from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from agentforge.phase7_adas.drive.agent import Moving
from agentforge.phase7_adas.drive.messages import PREDICTION_STEPS, Predictions, Tracks
from agentforge.phase7_adas.drive.prediction.agent import Prediction
from agentforge.phase7_adas.drive.prediction.places import FREE_M, place
from agentforge.phase7_adas.drive.prediction.ways import AHEAD_T, Way
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import Floats, Kind

BENT = Road(pieces=((100, 0), (80, 1 / 60), (100, 0)), lanes=3, oncoming=1)


def tracks(t_us: int, mean_N4: Floats, kind: Kind = Kind.VEHICLE) -> Tracks:
    many = len(mean_N4)
    whole = np.zeros(many, dtype=np.int64)
    return Tracks(
        t_us, np.arange(1, many + 1), mean_N4, np.tile(np.diag([0.04, 0.04, 0.09, 0.09]), (many, 1, 1)),
        np.tile([4.5, 1.9, 1.5], (many, 1)), np.full(many, int(kind)), np.ones(many), whole + 6, whole, whole,
    )  # fmt: skip


def foreseen(
    moves: Callable[[float], Floats], seconds: float, kind: Kind = Kind.VEHICLE
) -> tuple[Predictions, Floats]:
    """The last prediction, and how far each way ends from where it really went."""
    agent = Prediction("imm")
    for tick in range(round(seconds / 0.05)):
        told = agent.step(Moving(tracks(tick * 50_000, moves(tick * 0.05), kind), BENT))
    really = np.stack([moves(tick * 0.05 + ahead)[:, :2] for ahead in AHEAD_T], axis=1)
    return told, np.linalg.norm(told.xy_NKT2 - really[:, None], axis=3)[..., -1]


def in_lane(t: float) -> Floats:
    s = np.array([60 + 12 * t])
    xy, heading = BENT.to_world(s, np.array([1.75])), BENT.heading(s)
    return np.stack([xy[:, 0], xy[:, 1], 12 * np.cos(heading), 12 * np.sin(heading)], axis=1)


def oncoming(t: float) -> Floats:
    s = np.array([200 - 12 * t])
    xy, heading = BENT.to_world(s, np.array([8.75])), BENT.heading(s)
    speed = 12 * (1 - 8.75 * BENT.curvature(s))  # it is on the inside of the bend
    return np.stack([xy[:, 0], xy[:, 1], -speed * np.cos(heading), -speed * np.sin(heading)], axis=1)


def braking(t: float) -> Floats:
    t = min(t, 20 / 3)
    return np.array([[5 + 20 * t - 1.5 * t**2, 1.75, 20 - 3 * t, 0.0]])


def changing(t: float) -> Floats:
    part = np.clip((t - 1.5) / 4, 0, 1)
    across = 3.5 * 6 * (part - part**2) / 4 if 0 < part < 1 else 0.0
    return np.array([[10 + 10 * t, 1.75 + 3.5 * (3 * part**2 - 2 * part**3), 10.0, across]])


def walking(t: float) -> Floats:
    return np.array([[40.0, -3 + 1.3 * t, 0.0, 1.3]])


@pytest.mark.parametrize(
    ("moves", "seconds", "way", "kind", "within"),
    [
        (in_lane, 3.0, Way.LANE, Kind.VEHICLE, 0.3),
        (oncoming, 3.0, Way.LANE, Kind.VEHICLE, 0.3),
        (braking, 3.0, Way.BRAKE, Kind.VEHICLE, 0.5),
        (changing, 2.5, Way.CHANGE, Kind.VEHICLE, 0.8),
        (walking, 2.0, Way.KEEP, Kind.PEDESTRIAN, 0.1),
    ],
)
def test_the_right_way_is_among_them(
    moves: Callable[[float], Floats], seconds: float, way: Way, kind: Kind, within: float
) -> None:
    _, off_NK = foreseen(moves, seconds, kind)
    assert off_NK[0, way] < within


@pytest.mark.parametrize(
    ("moves", "seconds", "way", "kind"),
    [
        (in_lane, 3.0, Way.LANE, Kind.VEHICLE),
        (oncoming, 3.0, Way.LANE, Kind.VEHICLE),
        (braking, 3.0, Way.BRAKE, Kind.VEHICLE),
        (walking, 2.0, Way.KEEP, Kind.PEDESTRIAN),
    ],
)
def test_and_the_likeliest(moves: Callable[[float], Floats], seconds: float, way: Way, kind: Kind) -> None:
    told, _ = foreseen(moves, seconds, kind)
    assert told.probability_NK[0].argmax() == way


def test_shapes_and_sums() -> None:
    told, _ = foreseen(in_lane, 1.0)
    assert told.xy_NKT2.shape == (1, len(Way), PREDICTION_STEPS, 2)
    assert told.sigma_NKT.shape == (1, len(Way), PREDICTION_STEPS)
    assert told.probability_NK.sum(axis=1) == pytest.approx(1.0)
    assert (np.diff(told.sigma_NKT, axis=2) > 0).all()


def test_nobody_there() -> None:
    told = Prediction("imm").step(Moving(tracks(0, np.zeros((0, 4))), BENT))
    assert told.xy_NKT2.shape == (0, len(Way), PREDICTION_STEPS, 2)


def test_tracks_come_and_go_and_keep_their_own_probabilities() -> None:
    agent, both = Prediction("imm"), np.concatenate([braking(0.0), in_lane(0.0)])
    for tick in range(40):
        both = np.concatenate([braking(tick * 0.05), in_lane(tick * 0.05)])
        told = agent.step(Moving(tracks(tick * 50_000, both), BENT))
    alone = replace(tracks(40 * 50_000, in_lane(2.0)), id_N=np.array([2]))
    after = agent.step(Moving(alone, BENT))
    assert after.id_N.tolist() == [2]
    assert after.probability_NK[0] == pytest.approx(told.probability_NK[1], abs=0.1)
    assert told.probability_NK[0, Way.BRAKE] > 2 * told.probability_NK[1, Way.BRAKE]


def test_a_track_that_is_no_number_is_left_out() -> None:
    agent = Prediction("imm")
    bad = np.concatenate([in_lane(0.0), np.full((1, 4), np.nan)])
    told = agent.step(Moving(tracks(0, bad), BENT))
    assert told.id_N.tolist() == [1]
    assert agent.counts["tracks/garbage"] == 1
    assert np.isfinite(agent.step(Moving(tracks(50_000, in_lane(0.05)), BENT)).xy_NKT2).all()


@pytest.mark.parametrize("gap_us", [-50_000, 30_000_000])
def test_time_that_jumps_starts_it_over(gap_us: int) -> None:
    agent = Prediction("imm")
    for tick in range(5):
        agent.step(Moving(tracks(1_000_000 + tick * 50_000, in_lane(tick * 0.05)), BENT))
    told = agent.step(Moving(tracks(1_200_000 + gap_us, in_lane(0.2)), BENT))
    assert agent.counts["started over"] == 1
    assert np.isfinite(told.xy_NKT2).all()


def test_nobody_drives_backwards_or_off_the_earth() -> None:
    told, _ = foreseen(braking, 6.5)
    along = np.diff(told.xy_NKT2[0, :, :, 0], axis=1)
    assert (along >= -1e-9).all()
    fast = np.array([[10.0, 1.75, 60.0, 0.0]])
    wild = Prediction("imm").step(Moving(tracks(0, fast), BENT)).xy_NKT2
    assert np.abs(wild).max() < 10 + 60 * 4.5


def test_leaders_are_the_next_in_the_same_lane_and_direction() -> None:
    mean = np.array([[10, 1.75, 10, 0], [40, 1.75, 6, 0], [25, 5.25, 10, 0], [20, 8.75, -10, 0]], dtype=np.float64)
    told = tracks(0, mean)
    places = place(told.mean_N4, told.size_N3, told.kind_N, BENT)
    assert places.gap_N == pytest.approx([25.5, FREE_M, FREE_M, FREE_M])
    assert places.closing_N[0] == pytest.approx(4.0)
    assert places.along_N.tolist() == [1, 1, 1, -1]
    assert places.bound_N.all()
