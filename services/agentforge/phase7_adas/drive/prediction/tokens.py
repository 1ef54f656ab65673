"""Motion as words (after MotionLM, Seff et al. 2023): how the next half second's step differs from the last one.

A token is a change of the step, quantised on a grid along and across the road: zero goes on as before ("Verlet").
The encoder chooses each against what the decoder will have by then, so that errors stay within half a cell.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.messages import PREDICTION_STEP_S, PREDICTION_STEPS
from agentforge.phase7_adas.drive.truth import Floats, Ints

TOKEN_S: Final = 0.5
TOKENS: Final = 8
"""Four seconds."""
SIDE: Final = 13
CELL_M: Final = np.array([0.25, 0.12])
"""Along and across: 1 and 0.5 m/s2; the grid ends at 6 and 2.9 m/s2."""
MOTIONS: Final = SIDE * SIDE
HALF: Final = SIDE // 2


def encode(first_N2: Floats, velocity_N2: Floats, points_NT2: Floats) -> Ints:
    """Tokens (N, T) for points every TOKEN_S after `first`, where it had this velocity."""
    here, step = first_N2, velocity_N2 * TOKEN_S
    tokens = []
    for wanted in np.moveaxis(points_NT2, 1, 0):
        cell = np.clip(np.rint((wanted - here - step) / CELL_M), -HALF, HALF)
        step = step + cell * CELL_M
        here = here + step
        tokens.append((cell[:, 0] + HALF) * SIDE + cell[:, 1] + HALF)
    return np.stack(tokens, axis=1).astype(np.int64)


def decode(first_N2: Floats, velocity_N2: Floats, tokens_NT: Ints) -> Floats:
    """Points (..., T, 2); `first` and `velocity` may have more axes, as the tokens have."""
    cells = np.stack([tokens_NT // SIDE - HALF, tokens_NT % SIDE - HALF], axis=-1) * CELL_M
    steps = velocity_N2[..., None, :] * TOKEN_S + np.cumsum(cells, axis=-2)
    points: Floats = first_N2[..., None, :] + np.cumsum(steps, axis=-2)
    return points


def _between() -> Floats:
    """Weights (PREDICTION_STEPS, 1 + TOKENS) of the points at 0, 0.5 s, ... in those at 0.2 s, 0.4 s, ..."""
    at = np.arange(1, PREDICTION_STEPS + 1) * PREDICTION_STEP_S / TOKEN_S
    weights: Floats = np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(1 + TOKENS)[None]))
    return weights


BETWEEN: Final = _between()
