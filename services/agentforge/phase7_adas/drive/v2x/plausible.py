"""What no vehicle can be, whatever it says: checks of single messages, all at once."""

from __future__ import annotations

import numpy as np

from agentforge.phase7_adas.drive.truth import Floats
from agentforge.phase7_adas.drive.v2x.heard import LENGTH, SIGMA, SPEED, WIDTH

MOST_SPEED_MPS = 90.0
MOST_REVERSE_MPS = 15.0
MOST_LENGTH_M, MOST_WIDTH_M = 30.0, 5.0
MOST_SIGMA_M = 20.0
FAR_M = 50_000.0
"""From the origin: beyond it the plane is no map."""
FAR_FROM_US_M = 2_000.0
"""No radio of these bands is heard from farther, save by freak."""


def refusals(heard_N8: Floats, xy_N2: Floats, near_xy: tuple[float, float] | None) -> list[str]:
    """Why each may not be believed, or nothing."""
    known_N = np.isfinite(heard_N8.sum(axis=1))
    speed_N = heard_N8[:, SPEED]
    here = np.zeros(2) if near_xy is None else np.array(near_xy)
    reach_m = FAR_M if near_xy is None else FAR_FROM_US_M
    with np.errstate(invalid="ignore"):
        possible_N = (speed_N <= MOST_SPEED_MPS) & (speed_N >= -MOST_REVERSE_MPS)
        possible_N &= (heard_N8[:, LENGTH] <= MOST_LENGTH_M) & (heard_N8[:, WIDTH] <= MOST_WIDTH_M)
        possible_N &= (heard_N8[:, SIGMA] <= MOST_SIGMA_M) & (((xy_N2 - here) ** 2).sum(axis=1) <= reach_m**2)
    if known_N.all() and possible_N.all():
        return [""] * len(heard_N8)
    return [
        "incomplete" if not known else "" if possible else "implausible"
        for known, possible in zip(known_N.tolist(), possible_N.tolist(), strict=True)
    ]
