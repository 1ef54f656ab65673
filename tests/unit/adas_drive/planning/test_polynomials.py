import numpy as np

from agentforge.phase7_adas.drive.planning.polynomials import quartic, quintic, together


def test_a_quintic_begins_and_ends_where_it_should() -> None:
    ends = np.array([[30.0, 5.0, 0.0], [12.0, 0.0, -1.0]])
    long = np.array([3.0, 2.0])
    batch = quintic(np.array([1.0, 8.0, 0.5]), ends, long)
    begin, end = batch.at(np.zeros((2, 1))), batch.at(long[:, None] - 1e-9)
    assert np.allclose([begin.x_CJ[:, 0], begin.v_CJ[:, 0], begin.a_CJ[:, 0]], [[1.0] * 2, [8.0] * 2, [0.5] * 2])
    assert np.allclose(np.stack([end.x_CJ, end.v_CJ, end.a_CJ])[..., 0].T, ends, atol=1e-6)


def test_a_quartic_reaches_its_speed_and_then_keeps_it() -> None:
    batch = quartic(np.array([0.0, 10.0, -1.0]), np.array([[4.0, 0.0]]), np.array([3.0]))
    then = batch.at(np.array([[3.0, 4.0, 6.0]]))
    assert np.allclose(then.v_CJ, 4.0)
    assert np.allclose(np.diff(then.x_CJ), [[4.0, 8.0]])
    assert np.allclose(then.a_CJ, 0.0)
    assert np.allclose(then.j_CJ, 0.0)


def test_derivatives_are_those_of_the_place() -> None:
    batch = quintic(np.array([0.0, 3.0, 1.0]), np.array([[20.0, 6.0, 0.0]]), np.array([4.0]), begin=2.0)
    t = np.linspace(2.0, 5.9, 400)[None]
    made, dt = batch.at(t), t[0, 1] - t[0, 0]
    for of, to in ((made.x_CJ, made.v_CJ), (made.v_CJ, made.a_CJ), (made.a_CJ, made.j_CJ)):
        assert np.abs(np.gradient(of[0], dt)[2:-2] - to[0, 2:-2]).max() < 0.02


def test_none_at_all_is_a_batch_too() -> None:
    none = quintic(np.zeros(3), np.zeros((0, 3)), np.zeros(0))
    some = quartic(np.zeros(3), np.ones((2, 2)), np.ones(2))
    assert len(together(none, some)) == 2
    assert none.at(np.zeros((1, 5))).x_CJ.shape == (0, 5)
