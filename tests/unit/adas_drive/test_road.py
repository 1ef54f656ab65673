import numpy as np
import pytest

from agentforge.phase7_adas.drive.road import Road

BENT = Road(pieces=((80.0, 0.0), (60.0, 1 / 50), (40.0, 0.0), (60.0, -1 / 40), (50.0, 0.0)), lanes=3, oncoming=1)


def test_there_and_back() -> None:
    rng = np.random.default_rng(0)
    s, d = rng.uniform(0, BENT.length_m, 500), rng.uniform(0, BENT.width_m, 500)
    back_s, back_d = BENT.to_road(BENT.to_world(s, d))
    assert np.abs(back_s - s).max() < 0.1
    assert np.abs(back_d - d).max() < 0.05


def test_an_arc_is_an_arc() -> None:
    ring = Road(pieces=((100.0, 1 / 40),))
    xy = ring.to_world(np.linspace(0, 100, 50), np.zeros(50))
    assert np.hypot(xy[:, 0], xy[:, 1] - 40.0) == pytest.approx(np.full(50, 40.0), abs=0.02)
    assert ring.heading(np.array([40.0 * np.pi / 2]))[0] == pytest.approx(np.pi / 2, abs=0.01)


def test_beyond_its_ends_it_goes_straight_on() -> None:
    xy = BENT.to_world(np.array([-10.0, BENT.length_m + 10]), np.array([1.0, 1.0]))
    assert xy[0] == pytest.approx([-10.0, 1.0])
    s, d = BENT.to_road(xy)
    assert (s[0], d[0]) == pytest.approx((-10.0, 1.0))
    assert (s[1], d[1]) == pytest.approx((BENT.length_m + 10, 1.0), abs=0.3)
    assert BENT.curvature(np.array([-5.0, 100.0, BENT.length_m + 5])) == pytest.approx([0.0, 1 / 50, 0.0])


@pytest.mark.parametrize(
    ("pieces", "lanes", "oncoming"), [((), 2, 0), (((0.0, 0.0),), 2, 0), (((9.0, 0.0),), 2, 2)]
)
def test_what_is_no_road(pieces: tuple[tuple[float, float], ...], lanes: int, oncoming: int) -> None:
    with pytest.raises(ValueError, match=r"a road needs pieces|oncoming lanes"):
        Road(pieces=pieces, lanes=lanes, oncoming=oncoming)
