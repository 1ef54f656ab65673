import numpy as np
import pytest

from agentforge.phase7_adas.drive.planning.agent import sampled
from agentforge.phase7_adas.drive.planning.frenet import beside
from agentforge.phase7_adas.drive.planning.line import line_of
from agentforge.phase7_adas.drive.planning.polynomials import quartic, quintic
from agentforge.phase7_adas.drive.road import Road

BENT = Road(((80.0, 0.0), (60.0, 1 / 50), (40.0, 0.0), (60.0, -1 / 40), (50.0, 0.0)), lanes=3, oncoming=1)


def test_places_by_newton_are_the_road_s_own() -> None:
    rng = np.random.default_rng(0)
    s, d = rng.uniform(5, BENT.length_m - 5, 300), rng.uniform(0, BENT.width_m, 300)
    line = line_of(BENT)
    back_s, back_d = line.to_road(BENT.to_world(s, d), s + rng.uniform(-15, 15, 300))
    assert np.abs(back_s - s).max() < 0.15
    assert np.abs(back_d - d).max() < 0.05
    assert np.abs(line.to_world(s, d) - BENT.to_world(s, d)).max() < 0.02
    for row, (x, y) in enumerate(BENT.to_world(s, d)[:40].tolist()):
        alone_s, alone_d, heading, bend = line.foot(x, y, float(s[row]) + 8.0)
        assert (alone_s, alone_d) == pytest.approx((back_s[row], back_d[row]), abs=1e-5)
        assert (heading, bend) == pytest.approx(
            (line.heading(s[row : row + 1])[0], line.curvature(s[row : row + 1])[0]), abs=0.02
        )


def test_a_state_beside_the_line_and_back() -> None:
    """In a bend, at an angle to the road: the first sample of a motion from there is the state it began from."""
    line = line_of(BENT)
    s, d, turn, speed = 90.0, 4.0, 0.12, 9.0
    xy = BENT.to_world(np.array([s]), np.array([d]))[0]
    heading = float(BENT.heading(np.array([s]))[0]) + turn
    state = np.array([xy[0], xy[1], heading, speed, 1.0, 0.25])
    start = beside(line, state, s + 3.0)
    assert np.allclose([start.along_3[0], start.across_3[0]], [s, d], atol=0.05)
    along = quartic(start.along_3, np.array([[8.0, 0.0]]), np.array([3.0]))
    across = quintic(start.across_3, np.array([[5.0, 0.0, 0.0]]), np.array([40.0]), begin=float(start.along_3[0]))
    states, curvature = sampled(line, along, across)
    assert np.allclose(states[0, :4], state[:4], atol=0.05)
    assert abs(curvature[0] - 0.25 / 9.0) < 0.002
    # each row follows from the one before by its own speed, heading and curvature
    step = np.diff(states[:, :2], axis=0)
    assert np.abs(np.hypot(*step.T) / 0.1 - (states[1:, 3] + states[:-1, 3]) / 2).max() < 0.05
    assert np.abs(np.arctan2(step[:, 1], step[:, 0]) - (states[1:, 2] + states[:-1, 2]) / 2).max() < 0.01
    assert np.abs(np.diff(states[:, 3]) / 0.1 - (states[1:, 4] + states[:-1, 4]) / 2).max() < 0.25
