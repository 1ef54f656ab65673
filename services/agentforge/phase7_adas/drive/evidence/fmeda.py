"""Failure modes of sensors: what each does to the car, what notices it. An FMEDA's table without failure rates.

Rates (FIT) come from a part's maker and its mission profile; there is no part here, so the columns are missing
instead of invented. What is measured is whether each mode was noticed when it was injected.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentforge.phase7_adas.drive.injected import FaultKind


@dataclass(frozen=True)
class FailureMode:
    sensor: str
    kind: FaultKind
    effect: str
    noticed_by: str


MODES = (
    FailureMode("camera", FaultKind.DROPOUT, "no class of what is seen", "watchdog: silence"),
    FailureMode("camera", FaultKind.FREEZE, "the past is taken for the present", "plausibility: frozen stream"),
    FailureMode("camera", FaultKind.BLIND, "objects are missed", "redundancy: radar and lidar see more"),
    FailureMode("camera", FaultKind.STALE, "the past is taken for the present", "watchdog: old stamps"),
    FailureMode("camera", FaultKind.GARBAGE, "no image", "perception refuses it; watchdog"),
    FailureMode("radar", FaultKind.DROPOUT, "no range rate", "watchdog: silence"),
    FailureMode("radar", FaultKind.GHOST, "a car that is not there", "redundancy: one source only"),
    FailureMode("radar", FaultKind.BIAS, "ranges are off", "tracks disagree with lidar"),
    FailureMode("radar", FaultKind.MISS, "objects are missed", "redundancy: camera and lidar see more"),
    FailureMode("lidar", FaultKind.DROPOUT, "no shape, no exact place", "watchdog: silence"),
    FailureMode("lidar", FaultKind.DELAY, "objects are behind where they are", "watchdog: late arrival"),
    FailureMode("lidar", FaultKind.SKEW, "objects are moved along their way", "watchdog: skewed stamps"),
    FailureMode("imu", FaultKind.BIAS, "heading drifts", "fusion: innovations of GPS"),
    FailureMode("imu", FaultKind.DROPOUT, "no yaw rate", "watchdog: silence"),
    FailureMode("gps", FaultKind.JUMP, "position is off", "fusion: innovation gate"),
    FailureMode("gps", FaultKind.DROPOUT, "position drifts", "watchdog: silence; growing covariance"),
)
"""In the order of the report. Each has its scenario in the catalogue, or the report says that it has none."""
