import pytest

from agentforge.phase7_adas.drive.safety.rss import RSS, aside, behind, towards

pytestmark = pytest.mark.requirement("SR4")


def least_gap(gap: float, rear: float, front: float) -> float:
    """The front brakes with all it may; the rear speeds up for its response, then brakes with its least."""
    dt, t, nearest = 0.001, 0.0, gap
    while rear > 0 or front > 0:
        accel = RSS.accel_max_mps2 if t < RSS.response_s else -RSS.brake_min_mps2
        before_rear, before_front = rear, front
        rear, front = max(rear + accel * dt, 0.0), max(front - RSS.brake_max_mps2 * dt, 0.0)
        gap += (before_front + front - before_rear - rear) / 2 * dt
        nearest, t = min(nearest, gap), t + dt
    return nearest


@pytest.mark.parametrize(("rear", "front"), [(14.0, 14.0), (14.0, 0.0), (20.0, 10.0), (27.0, 27.0)])
def test_the_distance_behind_is_enough_and_not_more(rear: float, front: float) -> None:
    need = behind(rear, front)
    assert least_gap(need, rear, front) == pytest.approx(0.0, abs=0.05)
    assert least_gap(need - 1.0, rear, front) < -0.9


def test_who_draws_away_needs_none() -> None:
    assert behind(5.0, 25.0) == 0.0


def test_towards_each_other_both_must_stop() -> None:
    both = towards(10.0, 10.0)
    alone = towards(10.0, 0.0)
    assert both > alone + 10.0**2 / (2 * RSS.oncoming_brake_mps2)
    assert alone == pytest.approx(behind(10.0, 0.0) + alone - both + both - alone, abs=5.0)


def test_aside_grows_with_drift_towards_each_other() -> None:
    still, zero = aside(0.0, 0.0), 0.0
    assert RSS.side_gap_m <= still < 0.3
    assert aside(1.0, zero) > 1.0  # the right one drifts left
    assert aside(zero, -1.0) > 1.0  # the left one drifts right
    assert aside(-1.0, 1.0) == RSS.side_gap_m  # apart
