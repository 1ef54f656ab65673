"""Two independent sources for what is in the ego's way; and sensors that do not see what the others see.

The policy for something in the way that one kind of sensor alone tells of: it is not ignored, and it is no reason
for all that the brakes have. The monitor slows the ego such that it can still stop before it with CALM_MPS2, and
no harder than that. Planner and RSS look at it, too, as at any track; a second source lifts the bound.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.messages import Fault, Source
from agentforge.phase7_adas.drive.safety.around import HALF_LONG, Around, Other
from agentforge.phase7_adas.drive.safety.courses import Bound
from agentforge.phase7_adas.drive.truth import Kind

CALM_MPS2: Final = 3.0
ASIDE_M: Final = 0.4
LEFT_M: Final = 4.0
KINDS: Final = (Source.CAMERA, Source.RADAR, Source.LIDAR, Source.V2X)
_COUNT: Final = tuple(sum((flags & int(kind)) > 0 for kind in KINDS) for flags in range(16))
_NONE, _V2X, _VEHICLE = int(Source.NONE), int(Source.V2X), int(Kind.VEHICLE)
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


def sources(flags: int) -> int:
    """How many kinds of sensor."""
    return _COUNT[flags & (len(_COUNT) - 1)]


def one_source(around: Around, now: int) -> Bound:
    """What is in the way and seen by one kind only: the bound on acceleration, and a fault for each."""
    most, faults = np.inf, []
    for one in around.others:
        count = sources(one.sources)
        if count >= 2 or not (one.aside < ASIDE_M and one.ahead > 0):
            continue
        closing = max(around.ego_along - max(one.along, 0.0), 0.0)
        # what keeps its distance is no danger, and yet the others should see it
        near = one.ahead < closing * closing / (2 * CALM_MPS2) + LEFT_M + around.ego_along * 0.5
        lone = count == 1 and one.age_us > LONE_US and one.ahead < VIEW_M[1]
        if not (near or lone):
            continue
        if near:
            most = min(most, -min(closing**2 / (2 * max(one.ahead - LEFT_M, 0.5)), CALM_MPS2))
        fact = f"{one.ahead:.1f} m ahead, seen by {Source(one.sources)!r} alone"
        faults.append(Fault("OBJECT_ONE_SOURCE", now, f"track {one.id}", fact))
    return Bound(most, tuple(faults))


def sure(one: Other) -> bool:
    """Two kinds of sensor, or some age: less may be a ghost of this moment. V2X alone is never sure, nor is what
    moves and has not been seen for long.
    """
    if sources(one.sources) >= 2:
        return True
    unseen = one.sources == _NONE and abs(one.along) + abs(one.across) > MOVES_MPS
    return one.age_us >= SURE_US and one.sources != _V2X and not unseen


class BlindSensors:
    """A sensor that supports no vehicle near ahead though the two others do, for BLIND_US."""

    def __init__(self) -> None:
        self._since_us: dict[str, int] = {}

    def step(self, around: Around, now: int) -> frozenset[str]:
        if around.ego_along < MOVES_MPS:
            self._since_us.clear()
            return frozenset()
        flags = [one.sources for one in around.others if _in_view(around, one)]
        blind = set()
        for name, flag, others in _SIGHT:
            agreed = [one for one in flags if one & others == others]
            if not agreed:
                continue  # nobody to compare with: what was found before stands
            if any(one & flag for one in agreed):
                self._since_us.pop(name, None)
            elif now - self._since_us.setdefault(name, now) >= BLIND_US:
                blind.add(name)
        return frozenset(blind)


def _in_view(around: Around, one: Other) -> bool:
    """A vehicle that is there, where every sensor sees it."""
    away = one.s - around.ego_s
    return (
        VIEW_M[0] + HALF_LONG < away < VIEW_M[1]
        and abs(one.d - around.ego_d) < VIEW_SLOPE * away
        and one.existence > SURE
        and one.age_us > OLD_ENOUGH_US
        and one.kind == _VEHICLE
    )
