"""What is passed: cut by the edge of the view, then beyond it; and births beside those who are known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from agentforge.phase7_adas.drive.agent import Seen
from agentforge.phase7_adas.drive.fusion.agent import Fusion
from agentforge.phase7_adas.drive.fusion.evidence import STANDING
from agentforge.phase7_adas.drive.fusion.visibility import CUT_ACROSS_M, CUT_ALONG_M, at_edge, edge_doubt
from agentforge.phase7_adas.drive.messages import Detections, Source, no_detections
from agentforge.phase7_adas.drive.truth import Kind

pytestmark = pytest.mark.requirement("SR2")

AT_ORIGIN = np.zeros(6)
CAR = np.array([4.5, 1.8, 1.5])


def edges(x: float, y: float, kind: Kind = Kind.VEHICLE) -> tuple[bool, bool]:
    cut_N, beyond_N = at_edge(np.array([[x, y]]), CAR[None], np.array([int(kind)]))
    return bool(cut_N[0]), bool(beyond_N[0])


@pytest.mark.parametrize(
    ("x", "y", "cut", "beyond"),
    [
        (10.0, -2.8, False, False),
        (2.8, -2.8, True, False),  # its near end is beside the ego
        (2.8, 2.8, True, False),
        (-2.5, -2.8, True, True),
        (1.0, 0.3, False, False),  # in the way: never counted out
    ],
)
def test_the_edge_of_the_view_cuts_who_is_passed(x: float, y: float, cut: bool, beyond: bool) -> None:
    assert edges(x, y) == (cut, beyond)
    assert edges(x, y, Kind.PEDESTRIAN) == (False, False)


def test_the_doubt_lies_along_the_ego() -> None:
    assert np.diag(edge_doubt(AT_ORIGIN)) == pytest.approx([CUT_ALONG_M**2, CUT_ACROSS_M**2])
    ego = AT_ORIGIN.copy()
    ego[2] = math.pi / 2
    assert np.diag(edge_doubt(ego)) == pytest.approx([CUT_ACROSS_M**2, CUT_ALONG_M**2])


def told(t_us: int, *rows: tuple[float, float, float]) -> Detections:
    """x, y and the speed along x, of which radar tells its part along the beam."""
    many, xy = len(rows), np.array([row[:2] for row in rows])
    echo = np.arctan2(xy[:, 1], xy[:, 0])
    rate = np.array([row[2] for row in rows]) * np.cos(echo)
    return Detections(
        t_us, xy, np.tile(np.eye(2) * 0.04, (many, 1, 1)), np.tile(CAR, (many, 1)), np.zeros(many, dtype=np.int64),
        np.full(many, 0.9), rate, np.full(many, int(Source.RADAR | Source.LIDAR)), np.zeros(many), echo,
    )  # fmt: skip


def look(fusion: Fusion, detections: Detections, ego_x: float = 0.0, ego_mps: float = 0.0) -> None:
    at, state = detections.t_us, np.array([ego_x, 0.0, 0.0, ego_mps, 0.0, 0.0])
    fusion.track(Seen(at, replace(STANDING, t_us=at, state_6=state), detections))


def test_a_parked_car_that_is_passed_does_not_take_the_next_one_s_echo() -> None:
    """The ego passes it at 5 m/s; .7 s after it was seen last, something is told of a place beside it."""
    fusion, x, mps = Fusion(), 10.0, 5.0
    for tick in range(1, 63):
        ego_x = mps * tick * 0.05
        ahead = x - ego_x
        detections = no_detections(tick * 50_000)
        if ahead > 1.0:
            detections = told(tick * 50_000, (ahead, -2.8, -mps))
        elif ahead < -2.5:
            detections = told(tick * 50_000, (ahead + 0.9, -1.9, -mps))
        look(fusion, detections, ego_x, mps)
    first = fusion.bank.rows.at(np.array([0]))
    assert first.id[0] == 1
    assert first.hits[0] >= 30
    assert first.mean[0, :2] == pytest.approx([x, -2.8], abs=0.2)


def test_who_is_born_beside_a_known_car_and_is_as_fast_goes_as_it_goes() -> None:
    def across_of_the_second(rate_mps: float) -> tuple[float, float]:
        fusion = Fusion()
        for tick in range(1, 31):
            t_s = tick * 0.05
            look(fusion, told(tick * 50_000, (70.0 - 12.0 * t_s, 5.0, -12.0)))
        t_s = 31 * 0.05
        look(fusion, told(31 * 50_000, (70.0 - 12.0 * t_s, 5.0, -12.0), (77.0 - 12.0 * t_s, 5.0, rate_mps)))
        rows = fusion.bank.rows
        assert len(rows) == 2
        return float(rows.mean[1, 2]), float(np.sqrt(rows.cov[1, 3, 3]))

    speed, sigma = across_of_the_second(-12.0)
    assert speed == pytest.approx(-12.0, abs=0.5)
    alone, wider = across_of_the_second(-3.0)
    assert alone == pytest.approx(-3.0, abs=0.5)  # as slow as that, it is somebody else
    assert sigma < wider
