"""Do boxes on the ground touch? The separating axis test, for many pairs at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.truth import HEADING, LENGTH, WIDTH, Floats, X, Y


def touch(ones_N6: Floats, size_3: Floats, others_N6: Floats, sizes_N3: Floats) -> NDArray[np.bool_]:
    """Which pairs overlap: two boxes are apart if they are along one of their four axes.

    The first ones are all of one size, and may be one for all others (shape (6,)).
    """
    away = others_N6[:, [X, Y]] - ones_N6[..., [X, Y]]
    turn = others_N6[:, HEADING] - ones_N6[..., HEADING]
    cos, sin = np.abs(np.cos(turn)), np.abs(np.sin(turn))
    long, wide = size_3[LENGTH] / 2, size_3[WIDTH] / 2
    longs, wides = sizes_N3[:, LENGTH] / 2, sizes_N3[:, WIDTH] / 2
    own = _turned(away, ones_N6[..., HEADING])
    theirs = _turned(away, others_N6[:, HEADING])
    apart_on_none: NDArray[np.bool_] = (
        (own[0] < long + longs * cos + wides * sin)
        & (own[1] < wide + longs * sin + wides * cos)
        & (theirs[0] < longs + long * cos + wide * sin)
        & (theirs[1] < wides + long * sin + wide * cos)
    )
    return apart_on_none


def _turned(away_N2: Floats, heading: Floats) -> tuple[Floats, Floats]:
    """How far apart the centres are along and across these headings."""
    cos, sin = np.cos(heading), np.sin(heading)
    return np.abs(away_N2[:, 0] * cos + away_N2[:, 1] * sin), np.abs(away_N2[:, 1] * cos - away_N2[:, 0] * sin)
