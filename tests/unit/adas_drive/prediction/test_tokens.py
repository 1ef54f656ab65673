import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agentforge.phase7_adas.drive.prediction.tokens import (
    BETWEEN,
    CELL_M,
    HALF,
    MOTIONS,
    SIDE,
    TOKEN_S,
    TOKENS,
    decode,
    encode,
)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31))
def test_there_and_back_within_half_a_cell(seed: int) -> None:
    """For motions within the grid: half a cell of room is left for what rounding carries over."""
    rng = np.random.default_rng(seed)
    speed = rng.uniform(-3, 30, (5, 2))
    change = rng.uniform(-HALF / 2, HALF / 2, (5, TOKENS, 2)) * CELL_M
    points = np.cumsum(speed[:, None] * TOKEN_S + np.cumsum(change, axis=1), axis=1)
    tokens = encode(np.zeros((5, 2)), speed, points)
    assert tokens.min() >= 0
    assert tokens.max() < MOTIONS
    off = np.abs(decode(np.zeros((5, 2)), speed, tokens) - points)
    assert (off <= CELL_M / 2 + 1e-9).all()


def test_going_on_as_before_is_the_middle_word() -> None:
    speed = np.array([[12.0, 0.5]])
    points = speed[:, None] * TOKEN_S * np.arange(1, TOKENS + 1)[None, :, None]
    assert (encode(np.zeros((1, 2)), speed, points) == HALF * SIDE + HALF).all()


def test_beyond_the_grid_it_comes_as_near_as_it_can() -> None:
    points = np.full((1, TOKENS, 2), 1e4)
    tokens = encode(np.zeros((1, 2)), np.zeros((1, 2)), points)
    assert (tokens == MOTIONS - 1).all()


def test_points_between_are_on_the_line() -> None:
    knots = np.arange(TOKENS + 1) * TOKEN_S
    assert np.allclose(BETWEEN @ knots, np.arange(1, 21) * 0.2)
