from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agentforge.phase7_adas.drive.agent import Seen
from agentforge.phase7_adas.drive.fusion.agent import Fusion
from agentforge.phase7_adas.drive.fusion.evidence import STANDING
from agentforge.phase7_adas.drive.fusion.synthetic import Look, Stream, looks
from agentforge.phase7_adas.drive.messages import Detections, Source, Tracks, no_detections
from agentforge.phase7_adas.drive.truth import Floats

pytestmark = pytest.mark.requirement("SR2")

CAR = [4.5, 1.9, 1.5]


def told(t_us: int, xy: Floats, confidence: float = 0.9, rate: float = np.nan) -> Detections:
    many = len(xy)
    return Detections(
        t_us, xy, np.tile(np.eye(2) * 0.09, (many, 1, 1)), np.tile(CAR, (many, 1)), np.zeros(many, dtype=np.int64),
        np.full(many, confidence), np.full(many, rate), np.full(many, int(Source.RADAR)),
        np.zeros(many), np.arctan2(xy[:, 1], xy[:, 0]),
    )  # fmt: skip


def look(fusion: Fusion, detections: Detections, t_us: int | None = None) -> Tracks:
    at = detections.t_us if t_us is None else t_us
    return fusion.track(Seen(at, replace(STANDING, t_us=at), detections))


def tracked(fusion: Fusion, ticks: int, *, speed: float = 8.0) -> Tracks:
    """One car that drives away from the ego, seen at every tick."""
    rng = np.random.default_rng(5)
    tracks = None
    for tick in range(1, ticks + 1):
        xy = np.array([[20 + speed * tick * 0.05, 2.0]]) + rng.normal(0, 0.2, (1, 2))
        tracks = look(fusion, told(tick * 50_000, xy))
    assert tracks is not None
    return tracks


def test_a_car_is_confirmed_and_its_speed_known() -> None:
    tracks = tracked(Fusion(), 40)
    assert len(tracks.id_N) == 1
    assert tracks.mean_N4[0] == pytest.approx([36.0, 2.0, 8.0, 0.0], abs=0.8)
    assert tracks.existence_N[0] > 0.9
    assert tracks.sources_N[0] == int(Source.RADAR)
    assert tracks.age_us_N[0] == 39 * 50_000
    assert tracks.unseen_us_N[0] == 0


def test_one_detection_confirms_nothing_however_sure() -> None:
    assert not len(look(Fusion(), told(50_000, np.array([[20.0, 0.0]]), 1.0)).id_N)


def test_what_is_told_with_little_confidence_is_not_soon_believed() -> None:
    fusion = Fusion()
    for tick in range(1, 4):
        tracks = look(fusion, told(tick * 50_000, np.array([[20.0, 0.0]]), 0.05))
    assert not len(tracks.id_N)


def test_range_rate_makes_speed_known_at_once() -> None:
    fusion = Fusion()
    for tick in (1, 2, 3):
        tracks = look(fusion, told(tick * 50_000, np.array([[30 - 10 * 0.05 * tick, 0.0]]), rate=-10.0))
    assert tracks.mean_N4[0, 2] == pytest.approx(-10.0, abs=0.5)
    assert np.sqrt(tracks.cov_N44[0, 2, 2]) < 0.5


def test_it_dies_unseen_and_its_id_is_not_used_again() -> None:
    fusion = Fusion()
    first = int(tracked(fusion, 20).id_N[0])
    for tick in range(21, 60):
        tracks = look(fusion, no_detections(tick * 50_000))
    assert not len(tracks.id_N)
    assert not len(fusion.bank.rows)
    for tick in range(60, 70):
        tracks = look(fusion, told(tick * 50_000, np.array([[36.0, 2.0]])))
    assert tracks.id_N[0] > first


def test_a_miss_or_two_do_not_kill_it() -> None:
    fusion = Fusion()
    tracked(fusion, 30)
    look(fusion, no_detections(31 * 50_000))
    tracks = look(fusion, no_detections(32 * 50_000))
    assert len(tracks.id_N) == 1
    assert tracks.unseen_us_N[0] == 100_000


def test_hidden_behind_another_it_is_kept_longer_than_in_plain_sight() -> None:
    def lives(hider: bool) -> int:
        fusion = Fusion()
        both, near = np.array([[40.0, 0.0], [15.0, 0.0]]), np.array([[15.0, 0.0]])
        apart = np.array([[40.0, 0.0], [15.0, 8.0]])
        for tick in range(1, 21):
            look(fusion, told(tick * 50_000, both if hider else apart))
        for tick in range(21, 100):
            tracks = look(fusion, told(tick * 50_000, near if hider else apart[1:]))
            if len(tracks.id_N) < 2:
                return tick
        return 100

    assert lives(True) > lives(False) + 10


def test_two_side_by_side_stay_two() -> None:
    fusion = Fusion()
    for tick in range(1, 30):
        tracks = look(fusion, told(tick * 50_000, np.array([[20.0 + tick * 0.4, 0.0], [20.0 + tick * 0.4, 3.5]])))
    assert len(tracks.id_N) == 2
    assert list(tracks.id_N) == sorted(tracks.id_N)


def test_late_detections_are_moved_on_and_old_ones_refused() -> None:
    fusion = Fusion()
    tracked(fusion, 20)
    now = look(fusion, told(21 * 50_000, np.array([[28.4, 2.0]])), t_us=21 * 50_000 + 100_000)
    assert now.mean_N4[0, 0] == pytest.approx(28.4 + 0.8, abs=0.5)
    before = fusion.bank.rows.mean.copy()
    look(fusion, told(19 * 50_000, np.array([[90.0, 9.0]])), t_us=22 * 50_000)
    look(fusion, told(99 * 50_000, np.array([[90.0, 9.0]])), t_us=22 * 50_000)
    look(fusion, told(50_000, np.array([[90.0, 9.0]])), t_us=22 * 50_000)
    assert np.array_equal(before, fusion.bank.rows.mean)
    assert fusion.counts["detections/out of order"] == 1
    assert fusion.counts["detections/future"] == 1
    assert fusion.counts["detections/too old"] == 1


GARBAGE: dict[str, dict[str, Any]] = {
    "nan place": {"xy_N2": np.full((1, 2), np.nan)},
    "infinite cov": {"cov_N22": np.full((1, 2, 2), np.inf)},
    "negative cov": {"cov_N22": -np.eye(2)[None]},
    "kind of nothing": {"kind_N": np.array([77])},
    "no size": {"size_N3": np.zeros((1, 3))},
    "confidence of two": {"confidence_N": np.array([2.0])},
    "wrong shape": {"xy_N2": np.zeros((3, 2))},
    "no numbers": {"xy_N2": np.array([["a", "b"]])},
    "infinite rate": {"range_rate_N": np.array([np.inf])},
}


@pytest.mark.parametrize("bad", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_makes_no_track_and_breaks_none(bad: dict[str, Any]) -> None:
    fusion = Fusion()
    tracked(fusion, 20)
    for tick in range(21, 24):
        tracks = look(fusion, replace(told(tick * 50_000, np.array([[60.0, 5.0]])), **bad))
    assert fusion.counts["detections/garbage"] + fusion.counts["detections/bad row"] == 3
    assert len(fusion.bank.rows) == 1
    assert len(tracks.id_N) == 1
    assert np.isfinite(tracks.mean_N4).all()


def test_a_flood_is_cut_and_the_sure_ones_stay() -> None:
    fusion = Fusion()
    rng = np.random.default_rng(0)
    for tick in range(1, 6):
        flood = told(tick * 50_000, rng.uniform(5, 100, (400, 2)), 0.3)
        sure = told(tick * 50_000, np.array([[30.0, -200.0]]), 0.95)
        names = [name for name in vars(flood) if name not in ("t_us", "lane")]
        both: dict[str, Any] = {name: np.concatenate([getattr(flood, name), getattr(sure, name)]) for name in names}
        look(fusion, Detections(tick * 50_000, **both))
    assert fusion.counts["detections/too many"] == 5 * (401 - 128)
    assert len(fusion.bank.rows) <= 256
    assert any(abs(row[1] + 200) < 2 for row in fusion.bank.rows.mean)


def test_the_covariance_is_honest_on_a_stream_of_its_own_models() -> None:
    from agentforge.phase7_adas.drive.fusion.evidence import _ours

    _, found = _ours(looks(5, Stream(seconds=8.0)), rates=True)
    assert 0.7 < found["nees_per_dimension"] < 1.6
    assert 0.8 < found["nis_per_dimension"] < 1.25


def test_the_same_looks_give_the_same_bytes() -> None:
    def run(stream: list[Look]) -> bytes:
        fusion = Fusion()
        return b"".join(look(fusion, each.detections).mean_N4.tobytes() for each in stream)

    stream = looks(6, Stream(seconds=2.0))
    assert run(stream) == run(looks(6, Stream(seconds=2.0)))
