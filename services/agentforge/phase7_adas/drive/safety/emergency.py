"""The emergency stop: all that the brakes have, in the lane, by the monitor's own belief. It asks nobody."""

from __future__ import annotations

from typing import Final

from agentforge.phase7_adas.drive.messages import Command
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.safety.keeping import keep_lane
from agentforge.phase7_adas.drive.truth import SPEED, Floats
from agentforge.phase7_adas.drive.world import limits

BRAKE_MPS2: Final = -limits.MIN_ACCEL_MPS2
HOLD_MPS2: Final = 3.0
"""Brakes that hold who stands."""
STANDS_MPS: Final = 0.2


def emergency_stop(road: Road | None, belief_6: Floats | None, last: Command) -> Command:
    """Works with whatever is left: without a road or a belief the wheels stay where they are."""
    steer = last.curvature_per_m
    if road is not None and belief_6 is not None:
        steer = keep_lane(road, belief_6)
    stands = belief_6 is not None and float(belief_6[SPEED]) < STANDS_MPS
    return Command(-HOLD_MPS2 if stands else -BRAKE_MPS2, 0.0 if stands else steer)
