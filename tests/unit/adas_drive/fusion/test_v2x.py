from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agentforge.phase7_adas.drive.agent import Neighbour, Seen
from agentforge.phase7_adas.drive.fusion.agent import Fusion
from agentforge.phase7_adas.drive.fusion.evidence import STANDING
from agentforge.phase7_adas.drive.messages import Detections, Source, Tracks, no_detections
from agentforge.phase7_adas.drive.truth import Kind
from tests.unit.adas_drive.fusion.test_tracks import look, told, tracked

pytestmark = pytest.mark.requirement("SR8")

SAYS = Neighbour(7, 0, 30.0, 0.0, 0.0, 5.0, 0.5, 4.5, 1.9, Kind.VEHICLE)


def hear(fusion: Fusion, t_us: int, *neighbours: Neighbour, seen: Detections | None = None) -> Tracks:
    detections = no_detections(t_us) if seen is None else seen
    return fusion.track(Seen(t_us, replace(STANDING, t_us=t_us), detections, neighbours))


def test_words_alone_confirm_nothing_however_often() -> None:
    fusion = Fusion()
    for tick in range(1, 200):
        t_us = tick * 50_000
        says = replace(SAYS, t_us=t_us, x_m=30 + 5 * tick * 0.05)
        tracks = hear(fusion, t_us, says, replace(says, station=8), replace(says, station=9))
        assert not len(tracks.id_N)


def test_words_help_a_sensor_to_know_sooner() -> None:
    def speed_off(heard: bool) -> float:
        fusion = Fusion()
        for tick in range(1, 6):
            t_us = tick * 50_000
            says = (replace(SAYS, t_us=t_us, x_m=200.0 + 5 * tick * 0.05, y_m=0.0),) if heard else ()
            hear(fusion, t_us, *says)
        for tick in range(6, 8):
            tracks = hear(
                fusion, tick * 50_000, seen=told(tick * 50_000, np.array([[200.0 + 5 * tick * 0.05, 0.0]]))
            )
        return abs(float(tracks.mean_N4[0, 2]) - 5.0) if len(tracks.id_N) else np.inf

    assert speed_off(True) < 1.5 < speed_off(False)


def test_a_liar_does_not_move_what_is_seen() -> None:
    honest, lied_to = Fusion(), Fusion()
    tracked(honest, 30)
    tracked(lied_to, 30)
    t_us = 31 * 50_000
    seen = told(t_us, np.array([[32.4, 2.0]]))
    one = look(honest, seen)
    other = hear(lied_to, t_us, replace(SAYS, t_us=t_us, x_m=33.5, y_m=3.0, speed_mps=1.0), seen=seen)
    assert np.array_equal(one.mean_N4, other.mean_N4)
    assert other.sources_N[0] & int(Source.V2X)


def test_words_do_not_keep_alive_what_is_gone() -> None:
    fusion = Fusion()
    tracked(fusion, 30)
    for tick in range(31, 61):
        t_us = tick * 50_000
        tracks = hear(fusion, t_us, replace(SAYS, t_us=t_us, x_m=20 + 8 * tick * 0.05, y_m=2.0, speed_mps=8.0))
    assert not len(tracks.id_N)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"x_m": float("nan")}, "garbage"),
        ({"heading_rad": float("inf")}, "garbage"),
        ({"speed_mps": 900.0}, "garbage"),
        ({"sigma_m": 0.0}, "garbage"),
        ({"length_m": "long"}, "garbage"),
        ({"t_us": 1_200_000}, "future"),
        ({"t_us": -100_000}, "too old"),
    ],
)
def test_what_is_no_word_is_counted(bad: dict[str, Any], reason: str) -> None:
    fusion = Fusion()
    hear(fusion, 1_000_000, replace(replace(SAYS, t_us=1_000_000), **bad))
    assert fusion.counts[f"v2x/{reason}"] == 1
    assert not len(fusion.bank.rows)


def test_the_same_word_twice_is_one() -> None:
    fusion = Fusion()
    hear(fusion, 1_000_000, replace(SAYS, t_us=990_000))
    hear(fusion, 1_050_000, replace(SAYS, t_us=990_000))
    assert fusion.counts["v2x/repeated"] == 1
