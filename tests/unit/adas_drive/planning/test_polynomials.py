import numpy as np
import pytest

from agentforge.phase7_adas.drive.planning.polynomials import quartic, quintic, together


def test_a_quintic_begins_and_ends_where_it_should() -> None:
    ends = np.array([[30.0, 5.0, 0.0], [12.0, 0.0, -1.0]])
    long = np.array([3.0, 2.0])
    batch = quintic(np.array([1.0, 8.0, 0.5]), ends, long)
    begin, end = batch.over(np.zeros(1)), batch.over(long - 1e-9)
    assert np.allclose([begin.x_JC[0], begin.v_JC[0], begin.a_JC[0]], [[1.0] * 2, [8.0] * 2, [0.5] * 2])
    assert np.allclose([[of[row, row] for of in (end.x_JC, end.v_JC, end.a_JC)] for row in (0, 1)], ends, atol=1e-6)
    assert np.allclose(batch.ends(), ends[:, 0])


def test_a_quartic_reaches_its_speed_and_then_keeps_it() -> None:
    batch = quartic(np.array([0.0, 10.0, -1.0]), np.array([[4.0, 0.0]]), np.array([3.0]))
    after = np.array([3.0, 4.0, 6.0])
    then = batch.over(after)
    assert np.allclose(then.v_JC, 4.0)
    assert np.allclose(np.diff(then.x_JC[:, 0]), [4.0, 8.0])
    assert np.allclose(then.a_JC, 0.0)
    assert np.allclose(batch.jerk_over(after), 0.0)


def test_derivatives_are_those_of_the_place() -> None:
    batch = quintic(np.array([0.0, 3.0, 1.0]), np.array([[20.0, 6.0, 0.0]]), np.array([4.0]), begin=2.0)
    t = np.linspace(2.0, 5.9, 400)
    made, dt = batch.over(t), t[1] - t[0]
    for of, to in ((made.x_JC, made.v_JC), (made.v_JC, made.a_JC), (made.a_JC, batch.jerk_over(t))):
        assert np.abs(np.gradient(of[:, 0], dt)[2:-2] - to[2:-2, 0]).max() < 0.02


def test_none_at_all_is_a_batch_too() -> None:
    none = quintic(np.zeros(3), np.zeros((0, 3)), np.zeros(0))
    some = quartic(np.zeros(3), np.ones((2, 2)), np.ones(2))
    assert len(together(none, some)) == 2
    assert none.over(np.zeros(5)).x_JC.shape == (5, 0)


def test_one_state_is_that_of_all() -> None:
    batch = quintic(np.array([1.0, 8.0, 0.5]), np.array([[30.0, 5.0, 0.3]]), np.array([3.0]), begin=0.5)
    for t in (0.5, 1.7, 3.5, 4.2):
        of = batch.over(np.array([t]))
        assert batch.state(t) == pytest.approx((of.x_JC[0, 0], of.v_JC[0, 0], of.a_JC[0, 0]), rel=1e-14)
