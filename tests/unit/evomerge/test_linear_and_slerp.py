"""Linear, task arithmetic and SLERP: worked by hand, and their properties."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentforge.kit.errors import InvalidInput
from agentforge.phase2_evomerge.methods.linear import Linear
from agentforge.phase2_evomerge.methods.slerp import Slerp, SlerpOptions, slerp
from agentforge.phase2_evomerge.methods.task_arithmetic import TaskArithmetic, TaskArithmeticOptions
from agentforge.phase2_evomerge.methods.weights import Weights
from tests.unit.evomerge.tensors import close, normal, same_bits, sources, vector

EPS = 5e-4
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def test_linear_by_hand() -> None:
    parents = sources(vector(1.0, -2.0), vector(3.0, 6.0))
    close(Linear().merge(parents, Weights()), [2.0, 2.0])
    close(Linear().merge(parents, Weights(weights=(3.0, 1.0))), [1.5, 0.0])
    close(Linear().merge(parents, Weights(weights=(3.0, 1.0), normalize=False)), [6.0, 0.0])
    close(Linear().merge(parents, Weights(weights=(2.0, -1.0))), [-1.0, -10.0])


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(finite, min_size=1, max_size=5),
    weights=st.lists(st.floats(0.01, 10), min_size=1, max_size=5).map(tuple),
)
def test_linear_of_equal_parents_is_the_parent_to_the_bit(values: list[float], weights: tuple[float, ...]) -> None:
    """The sign of zero, the smallest and the largest numbers included."""
    parent = vector(*values, -0.0)
    for given_weights in (weights, ()):
        merged = Linear().merge(sources(*[parent] * len(weights)), Weights(weights=given_weights))
        assert same_bits(merged, parent)


def test_linear_with_all_weight_on_one_parent_is_that_parent() -> None:
    merged = Linear().merge(sources(vector(1e30), vector(0.1)), Weights(weights=(0.0, 1.0)))
    assert same_bits(merged, vector(0.1))


def test_task_arithmetic_by_hand() -> None:
    parents = sources(vector(2.0, 1.0), vector(1.0, 3.0), base=vector(1.0, 1.0))
    close(TaskArithmetic().merge(parents, TaskArithmeticOptions()), [2.0, 3.0])
    close(TaskArithmetic().merge(parents, TaskArithmeticOptions(normalize=True)), [1.5, 2.0])
    close(TaskArithmetic().merge(parents, TaskArithmeticOptions(weights=(0.5, -1.0))), [1.5, -1.0])
    close(TaskArithmetic().merge(parents, TaskArithmeticOptions(weights=(0.5, -1.0), lam=2.0)), [2.0, -3.0])


def test_task_arithmetic_with_one_parent_in_full_is_that_parent_to_the_bit() -> None:
    parent, base = normal(1, 50), normal(2, 50)
    assert same_bits(TaskArithmetic().merge(sources(parent, base=base), TaskArithmeticOptions()), parent)


def test_slerp_by_hand() -> None:
    x, y = vector(1.0, 0.0), vector(0.0, 1.0)
    close(Slerp().merge(sources(x, y), SlerpOptions()), [math.sqrt(0.5), math.sqrt(0.5)])
    close(Slerp().merge(sources(x, y), SlerpOptions(t=1 / 3)), [math.cos(math.pi / 6), 0.5])
    close(Slerp().merge(sources(x, y * 2), SlerpOptions(t=1 / 3)), [math.cos(math.pi / 6), 1.0])
    close(Slerp().merge(sources(x, y), SlerpOptions(t=0.0)), x)
    close(Slerp().merge(sources(x, y), SlerpOptions(t=1.0)), y)


def test_three_parents_meet_at_a_half_and_then_at_a_third() -> None:
    x, y, z = torch.eye(3)
    cos30, sin30 = math.cos(math.pi / 6), 0.5
    close(Slerp().merge(sources(x, y, z), SlerpOptions()), [cos30 * math.sqrt(0.5), cos30 * math.sqrt(0.5), sin30])
    with pytest.raises(InvalidInput) as caught:
        Slerp().merge(sources(x, y, z), SlerpOptions(t=0.5))
    assert caught.value.reason == "T_WITH_THREE_PARENTS"


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), t=st.floats(0, 1))
def test_slerp_keeps_the_norm_of_vectors_of_one_norm(seed: int, t: float) -> None:
    one, other = (each / each.norm() for each in (normal(seed, 40), normal(seed + 1, 40)))
    assert float(slerp(one, other, t, EPS).norm()) == pytest.approx(1.0, abs=1e-6)
    halfway, line = slerp(one, other, 0.5, EPS), (one + other) / 2
    close(halfway, line / line.norm())  # half-way, the arc has the line's direction


def test_slerp_takes_the_whole_tensor_as_one_vector() -> None:
    """Longer than one chunk: the angle is not that of the chunks."""
    one, other = normal(1, 70_001), normal(2, 70_001)
    other[40_000:] = one[40_000:]
    one64, other64 = one.double(), other.double()
    angle = torch.acos(one64 @ other64 / (one64.norm() * other64.norm()))
    expected = (torch.sin(0.7 * angle) * one64 + torch.sin(0.3 * angle) * other64) / torch.sin(angle)
    close(slerp(one, other, 0.3, EPS), expected.float())


def test_slerp_without_an_arc_is_a_line() -> None:
    v, zero = vector(3.0, -4.0), vector(0.0, 0.0)
    assert same_bits(slerp(v, v, 0.3, EPS), v)
    close(slerp(v, 3 * v, 0.5, EPS), 2 * v)
    close(slerp(v, -v, 0.5, EPS), zero)  # opposite: any arc would do, so none is chosen
    close(slerp(v, -v, 0.25, EPS), v / 2)
    close(slerp(zero, v, 0.25, EPS), v / 4)
    close(slerp(v, zero, 0.25, EPS), v * 0.75)
    close(slerp(zero, zero, 0.25, EPS), zero)


def test_line_and_arc_meet_where_one_takes_over_from_the_other() -> None:
    """θ ≈ 0.03 at the default eps: the arc's middle is θ²/8 longer than the line's, about 1.3e-4."""
    angle = math.acos(1 - EPS)
    one, other = vector(1.0, 0.0), vector(math.cos(angle * 1.001), math.sin(angle * 1.001))
    arc, line = slerp(one, other, 0.5, EPS), slerp(one, other, 0.5, EPS * 1.1)
    assert float(arc.norm()) == pytest.approx(1.0, abs=1e-7)
    assert float((arc - line).norm()) == pytest.approx(angle**2 / 8, rel=0.01)
