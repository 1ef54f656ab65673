"""Two independent sources for what is in the ego's way; and sensors that do not see what the others see.

The policy for something in the way that one kind of sensor alone tells of: it is not ignored, and it is no reason
for all that the brakes have. The monitor slows the ego such that it can still stop before it with CALM_MPS2, and
no harder than that. Planner and RSS look at it, too, as at any track; a second source lifts the bound.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.messages import Fault, Source, Tracks
from agentforge.phase7_adas.drive.safety.around import HALF_LONG, Around
from agentforge.phase7_adas.drive.safety.courses import Bound
from agentforge.phase7_adas.drive.truth import Ints, Kind

CALM_MPS2: Final = 3.0
ASIDE_M: Final = 0.4
LEFT_M: Final = 4.0
KINDS: Final = (Source.CAMERA, Source.RADAR, Source.LIDAR, Source.V2X)
_COUNT: Final[Ints] = np.array([sum((flags & int(kind)) > 0 for kind in KINDS) for flags in range(16)])
_SEE: Final = Source.CAMERA | Source.RADAR | Source.LIDAR
_SIGHT: Final = tuple((str(one.name).lower(), int(one), int(_SEE & ~one)) for one in _SEE)
"""Name, flag and the flags of the others; enumerations are slow to read in a loop that runs every tick."""
BLIND_US: Final = 2_000_000
MOVES_MPS: Final = 2.0
"""Who stands sees the same from the same place; nothing new is learnt of a sensor."""
VIEW_SLOPE: Final = 0.35
"""Aside by ahead: within what camera, radar and lidar all see, with some to spare."""
SURE: Final = 0.9
SURE_US: Final = 300_000
VIEW_M: Final = (8.0, 45.0)
LONE_US: Final = 2_000_000
"""Nothing that is there is seen by one kind of sensor alone for so long, as near as that."""
OLD_ENOUGH_US: Final = 1_000_000


def sources(flags_N: Ints) -> Ints:
    """How many kinds of sensor."""
    return _COUNT.take(flags_N & (len(_COUNT) - 1))


def one_source(around: Around, tracks: Tracks, now: int) -> Bound:
    """What is in the way and seen by one kind only: the bound on acceleration, and a fault for each."""
    count = sources(tracks.sources_N[around.row_N]) if len(around.id_N) else np.zeros(0, dtype=np.int64)
    closing = around.ego_along - np.maximum(around.along_N, 0.0)
    matters = np.maximum(closing, 0.0) ** 2 / (2 * CALM_MPS2) + LEFT_M + around.ego_along * 0.5
    # what keeps its distance is no danger, and yet the others should see it
    near = around.ahead_N < matters
    lone = (count == 1) & (tracks.age_us_N[around.row_N] > LONE_US) & (around.ahead_N < VIEW_M[1])
    found = (count < 2) & (around.aside_N < ASIDE_M) & (around.ahead_N > 0) & (near | lone)
    most, faults = np.inf, []
    for n in np.flatnonzero(found):
        room = max(float(around.ahead_N[n]) - LEFT_M, 0.5)
        if near[n]:
            most = min(most, -min(max(float(closing[n]), 0.0) ** 2 / (2 * room), CALM_MPS2))
        fact = f"{around.ahead_N[n]:.1f} m ahead, seen by {Source(int(tracks.sources_N[around.row_N[n]]))!r} alone"
        faults.append(Fault("OBJECT_ONE_SOURCE", now, f"track {around.id_N[n]}", fact))
    return Bound(float(most), tuple(faults))


def sure(around: Around, tracks: Tracks) -> NDArray[np.bool_]:
    """Two kinds of sensor, or some age: less may be a ghost of this moment. V2X alone is never sure, nor is what
    moves and has not been seen for long.
    """
    rows = around.row_N
    if len(rows) == 0:
        return np.zeros(0, dtype=bool)
    flags = tracks.sources_N[rows]
    unseen = (flags == int(Source.NONE)) & (np.abs(around.along_N) + np.abs(around.across_N) > MOVES_MPS)
    old = (tracks.age_us_N[rows] >= SURE_US) & (flags != int(Source.V2X)) & ~unseen
    return np.asarray((sources(flags) >= 2) | old)


class BlindSensors:
    """A sensor that supports no vehicle near ahead though the two others do, for BLIND_US."""

    def __init__(self) -> None:
        self._since_us: dict[str, int] = {}

    def step(self, around: Around, tracks: Tracks, now: int) -> frozenset[str]:
        away, aside = around.s_N - around.ego_s, around.d_N - around.ego_d
        if around.ego_along < MOVES_MPS:
            self._since_us.clear()
            return frozenset()
        view = (away > VIEW_M[0] + HALF_LONG) & (away < VIEW_M[1]) & (np.abs(aside) < VIEW_SLOPE * away)
        rows = around.row_N[view]
        sure = (tracks.existence_N[rows] > SURE) & (tracks.age_us_N[rows] > OLD_ENOUGH_US)
        flags = tracks.sources_N[rows[sure & (tracks.kind_N[rows] == int(Kind.VEHICLE))]]
        blind = set()
        for name, flag, others in _SIGHT:
            agreed = flags[(flags & others) == others]
            if len(agreed) == 0:
                continue  # nobody to compare with: what was found before stands
            if ((agreed & flag) > 0).any():
                self._since_us.pop(name, None)
            elif now - self._since_us.setdefault(name, now) >= BLIND_US:
                blind.add(name)
        return frozenset(blind)
