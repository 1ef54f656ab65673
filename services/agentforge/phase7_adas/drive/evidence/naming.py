"""Which of the monitor's words name an injected fault. Any other fault that it tells is a coincidence, or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agentforge.phase7_adas.drive.evidence.collector import FaultSeen
from agentforge.phase7_adas.drive.injected import FOR_EVER_US, FaultKind, InjectedFault

AFTER_US: Final = 1_500_000
"""A fault that is over may still be named for so long: a sensor's silence is noticed late."""


@dataclass(frozen=True)
class Name:
    """One of safety.faults.CODES, told of this place (a beginning of it is enough), with this word in its fact."""

    code: str
    where: str
    fact: str = ""

    def is_told_by(self, seen: FaultSeen) -> bool:
        return seen.code == self.code and seen.where.startswith(self.where) and self.fact in seen.fact


_SIGHT: Final = ("camera", "radar", "lidar")
_MOTION: Final = ("imu", "gps")
_BESIDE_SIGHT: Final = {
    FaultKind.DROPOUT: ("SENSOR_SILENT", "SENSOR_BLIND"),
    FaultKind.FREEZE: ("SENSOR_FROZEN", "SENSOR_BLIND"),
    FaultKind.STALE: ("SENSOR_STALE", "SENSOR_FROZEN", "SENSOR_BLIND"),
    FaultKind.DELAY: ("SENSOR_STALE", "SENSOR_SILENT", "SENSOR_BLIND"),
    FaultKind.SKEW: ("SENSOR_CLOCK", "SENSOR_STALE", "SENSOR_BLIND"),
    FaultKind.NOISE: ("SENSOR_BLIND",),
    FaultKind.GARBAGE: ("SENSOR_BLIND",),
    FaultKind.BLIND: ("SENSOR_BLIND",),
    FaultKind.MISS: ("SENSOR_BLIND",),
    FaultKind.BIAS: ("SENSOR_BLIND",),
}
"""Of camera, radar and lidar. What the two others see and it does not, it is blind for, whatever the cause."""
_OF_MOTION: Final = {
    FaultKind.DROPOUT: ("SENSOR_SILENT",),
    FaultKind.FREEZE: ("SENSOR_FROZEN",),
    FaultKind.STALE: ("SENSOR_STALE", "SENSOR_FROZEN"),
    FaultKind.DELAY: ("SENSOR_STALE", "SENSOR_SILENT"),
    FaultKind.SKEW: ("SENSOR_CLOCK", "SENSOR_STALE"),
    FaultKind.NOISE: (),
    FaultKind.GARBAGE: (),
    FaultKind.BIAS: (),
    FaultKind.JUMP: (),
}
"""Of IMU and GPS; besides, localisation says which of them it does not trust."""
_DOUBTS: Final = {"imu": ("imu", "compass", "gyro"), "gps": ("gps",)}
_MADE_BY: Final = {
    "fusion": ("tracks", "ego"),
    "perception": ("detections",),
    "prediction": ("predictions",),
    "planning": ("plan",),
}
"""What is missing when a stage gives nothing."""


def names_of(fault: InjectedFault) -> tuple[Name, ...]:
    """Empty where the monitor has no word for it: then all that can be shown is that nothing comes of it."""
    kind, where = fault.kind, fault.where
    if kind is FaultKind.OVERRUN:
        return Name("STAGE_LATE", where), Name("STAGE_SLOW", where)
    if kind is FaultKind.CRASH:
        missing = [
            Name(code, made) for made in _MADE_BY[where] for code in (f"{made.upper()}_LOST", "STAGE_MISSING")
        ]
        nothing = Name("EGO_UNTRUSTED", "ego", "localisation gave nothing")
        return (*missing, nothing) if where == "fusion" else tuple(missing)
    if kind is FaultKind.GHOST and where in _SIGHT:
        return (Name("OBJECT_ONE_SOURCE", "track"),)
    if where in _SIGHT:
        return tuple(Name(code, where) for code in _BESIDE_SIGHT[kind])
    if where in _MOTION:
        doubts = tuple(Name("EGO_UNTRUSTED", "ego", word) for word in _DOUBTS[where])
        jump = (Name("EGO_JUMP", "ego"),) if kind in (FaultKind.JUMP, FaultKind.NOISE) else ()
        return (*(Name(code, where) for code in _OF_MOTION[kind]), *doubts, *jump)
    if where == "v2x":
        return ()  # the receiver drops and counts; no fault of the car's own
    raise KeyError(f"no word is known for {kind} of {where}")


def first_named(faults: Sequence[InjectedFault], seen: Sequence[FaultSeen]) -> FaultSeen | None:
    """The first word for one of these faults, told while it acts or shortly afterwards."""
    told = [
        one
        for fault in faults
        for one in seen
        if fault.from_us <= one.told_us <= min(fault.until_us, FOR_EVER_US - AFTER_US) + AFTER_US
        and any(name.is_told_by(one) for name in names_of(fault))
    ]
    return min(told, key=lambda one: one.told_us, default=None)
