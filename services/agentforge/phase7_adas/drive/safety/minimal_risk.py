"""The minimal-risk manoeuvre: a comfortable stop in the lane, by the monitor's own belief if need be."""

from __future__ import annotations

from typing import Final

from agentforge.phase7_adas.drive.messages import Command
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.safety.keeping import keep_lane
from agentforge.phase7_adas.drive.truth import Floats

BRAKE_MPS2: Final = 2.5
JERK_MPS3: Final = 4.0
TICK_S: Final = 0.05


def comfortable_brake(last: Command) -> float:
    """From the last command to BRAKE_MPS2 at a jerk that people bear; never weaker than it was."""
    return min(max(last.accel_mps2 - JERK_MPS3 * TICK_S, -BRAKE_MPS2), last.accel_mps2, -0.5)


def comfortable_stop(road: Road, belief_6: Floats | None, last: Command) -> Command:
    """Without a plan. Without any belief the wheels stay where they are."""
    steer = last.curvature_per_m if belief_6 is None else keep_lane(road, belief_6)
    return Command(comfortable_brake(last), steer)
