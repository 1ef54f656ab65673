"""Every fault code: what it means, what is done about it, and how severe we assume it to be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from agentforge.phase7_adas.drive.messages import Mode


class Reaction(IntEnum):
    """From mildest to hardest; each includes the ones before."""

    NOTE = 0  # told and counted
    OVERRIDE = 1  # the command is bounded while the fault lasts
    DEGRADE = 2  # slower and with larger gaps
    MINIMAL_RISK = 3  # a comfortable stop in the lane
    EMERGENCY = 4  # the hardest stop


MODE_OF: Final = {
    Reaction.NOTE: Mode.NORMAL,
    Reaction.OVERRIDE: Mode.NORMAL,
    Reaction.DEGRADE: Mode.DEGRADED,
    Reaction.MINIMAL_RISK: Mode.MINIMAL_RISK,
    Reaction.EMERGENCY: Mode.EMERGENCY,
}


@dataclass(frozen=True)
class Code:
    code: str
    meaning: str
    reaction: Reaction
    severity: str
    """In the manner of ISO 26262's levels (QM, A to D): our assumption, not an assessment."""


_ALL: Final = (
    # sensors: watchdog.py
    Code("SENSOR_SILENT", "no reading of a sensor for longer than its limit", Reaction.DEGRADE, "B"),
    Code("SENSOR_STALE", "a sensor's readings are older than its latency allows", Reaction.DEGRADE, "B"),
    Code("SENSOR_CLOCK", "a sensor's stamps are ahead of what its latency allows", Reaction.DEGRADE, "B"),
    Code("SENSOR_FROZEN", "a sensor sends the same payload again and again", Reaction.DEGRADE, "C"),
    Code("SENSOR_BLIND", "a sensor does not see what the two others see", Reaction.DEGRADE, "B"),
    Code("SIGHT_POOR", "two of camera, radar and lidar fail", Reaction.MINIMAL_RISK, "D"),
    Code("SIGHT_LOST", "camera, radar and lidar fail", Reaction.EMERGENCY, "D"),
    Code("MOTION_LOST", "IMU and GPS fail", Reaction.MINIMAL_RISK, "D"),
    # stages: stages.py
    Code("STAGE_LATE", "a stage overran its deadline", Reaction.NOTE, "QM"),
    Code("STAGE_SLOW", "a stage overran its deadline repeatedly within a second", Reaction.DEGRADE, "B"),
    Code("STAGE_MISSING", "a stage gave nothing in this tick", Reaction.OVERRIDE, "B"),
    Code("DETECTIONS_LOST", "perception gives nothing", Reaction.MINIMAL_RISK, "D"),
    Code("TRACKS_LOST", "tracking gives nothing", Reaction.MINIMAL_RISK, "D"),
    Code("PREDICTIONS_LOST", "prediction gives nothing, straight guesses stand in", Reaction.DEGRADE, "B"),
    Code("PLAN_LOST", "planning gives nothing that can be driven", Reaction.MINIMAL_RISK, "D"),
    # plausibility.py, plans.py
    Code("EGO_UNTRUSTED", "localisation does not trust itself", Reaction.DEGRADE, "B"),
    Code("EGO_NOT_NUMBER", "the ego's state is not a number", Reaction.DEGRADE, "C"),
    Code("EGO_JUMP", "the ego's state is not where its motion leads", Reaction.DEGRADE, "C"),
    Code("EGO_FROZEN", "the ego's state stands still though it moves", Reaction.DEGRADE, "C"),
    Code("EGO_LOST", "no ego state that can be trusted for too long", Reaction.MINIMAL_RISK, "D"),
    Code("DETECTIONS_NOT_NUMBER", "detections with values that are not numbers", Reaction.DEGRADE, "B"),
    Code("DETECTIONS_FROZEN", "the same detections though time goes on", Reaction.DEGRADE, "C"),
    Code("TRACKS_NOT_NUMBER", "tracks with values that are not numbers", Reaction.DEGRADE, "C"),
    Code("TRACKS_FROZEN", "the same moving tracks though time goes on", Reaction.DEGRADE, "C"),
    Code("TRACK_TELEPORT", "a track is not where its motion leads", Reaction.DEGRADE, "B"),
    Code("PREDICTIONS_NOT_NUMBER", "predictions with values that are not numbers", Reaction.DEGRADE, "B"),
    Code("PLAN_NOT_NUMBER", "a plan with values that are not numbers", Reaction.DEGRADE, "C"),
    Code("PLAN_STALE", "a plan of another time", Reaction.DEGRADE, "C"),
    Code("PLAN_ELSEWHERE", "a plan that starts elsewhere than the ego is", Reaction.DEGRADE, "C"),
    Code("PLAN_TOO_HARD", "a plan that the body cannot follow", Reaction.DEGRADE, "B"),
    Code("PLAN_INFEASIBLE", "planning found nothing free of collisions", Reaction.OVERRIDE, "B"),
    Code("COMMAND_LIMIT", "a command beyond what the body can do", Reaction.OVERRIDE, "B"),
    # what is in the way: rss.py, courses.py, redundancy.py
    Code("RSS_DISTANCE", "nearer to something than RSS allows", Reaction.OVERRIDE, "C"),
    Code("PLAN_COLLIDES", "the plan meets a track", Reaction.OVERRIDE, "D"),
    Code("COLLISION_NEAR", "only hard braking still avoids a collision", Reaction.EMERGENCY, "D"),
    Code("OBJECT_ONE_SOURCE", "something in the way that one kind of sensor tells of", Reaction.OVERRIDE, "B"),
    Code("OFF_LANES", "the ego leaves the lanes of its direction", Reaction.MINIMAL_RISK, "C"),
    Code("MONITOR_FAILED", "the monitor itself failed", Reaction.EMERGENCY, "D"),
)
CODES: Final[dict[str, Code]] = {one.code: one for one in _ALL}
