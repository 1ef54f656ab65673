"""What injected faults make of a truth before it is sensed, and of a reading afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.injected import FaultKind, InjectedFault
from agentforge.phase7_adas.drive.readings import (
    RANGE,
    CameraReading,
    GpsReading,
    ImuReading,
    LidarReading,
    RadarReading,
    Reading,
)
from agentforge.phase7_adas.drive.sensors.spec import Specs
from agentforge.phase7_adas.drive.truth import HEADING, SPEED, Bodies, Kind, Truth, X, Y

ANY = frozenset(
    {
        FaultKind.DROPOUT,
        FaultKind.FREEZE,
        FaultKind.STALE,
        FaultKind.DELAY,
        FaultKind.SKEW,
        FaultKind.NOISE,
        FaultKind.GARBAGE,
    }
)
CAN = {
    "camera": ANY | {FaultKind.BLIND},
    "radar": ANY | {FaultKind.GHOST, FaultKind.MISS, FaultKind.BIAS},
    "lidar": ANY | {FaultKind.BLIND, FaultKind.GHOST, FaultKind.MISS},
    "imu": ANY | {FaultKind.BIAS},
    "gps": ANY | {FaultKind.JUMP},
}
PARTS = frozenset({FaultKind.DROPOUT, FaultKind.BLIND, FaultKind.MISS})
DIRT = 30  # brightness of a covered lens
GHOST_ID = 1_000_000_007
GHOST_SIZE = (4.5, 1.8, 1.5)


def check(fault: InjectedFault) -> None:
    """Whether a sensor can have this fault; faults of other places are not ours."""
    if fault.where not in CAN:
        return
    if fault.kind not in CAN[fault.where]:
        raise InvalidInput(
            f"the {fault.where} cannot have the fault {fault.kind.value!r}",
            reason="FAULT_NOT_APPLICABLE",
            field=f"faults.{fault.where}",
            next_step=f"It can have: {', '.join(sorted(CAN[fault.where]))}.",
        )
    wrong = not np.isfinite(fault.amount) or (fault.kind in PARTS and not 0.0 <= fault.amount <= 1.0)
    if wrong or (fault.kind in (FaultKind.DELAY, FaultKind.NOISE) and fault.amount < 0.0):
        raise InvalidInput(
            f"{fault.amount} is no amount of {fault.kind.value!r}",
            reason="FAULT_NOT_APPLICABLE",
            field=f"faults.{fault.where}",
            next_step="Parts are from 0 to 1; delays and factors are not negative; all are finite.",
        )


def sensed(truth: Truth, faults: Sequence[InjectedFault], seed: int) -> Truth:
    """The truth without missed bodies (always the same ones, by id) and with ghosts that keep their distance."""
    for fault in faults:
        if fault.kind is FaultKind.MISS:
            drawn = [Rng(seed, "adas/drive/sensors/miss", int(each)).numpy().random() for each in truth.others.id_N]
            truth = replace(truth, others=_only(truth.others, np.array(drawn) >= fault.amount))
        elif fault.kind is FaultKind.GHOST:
            truth = replace(truth, others=_with_ghost(truth, fault.amount))
    return truth


def _only(bodies: Bodies, kept: Any) -> Bodies:
    kept = np.asarray(kept, dtype=bool)
    return Bodies(bodies.id_N[kept], bodies.kind_N[kept], bodies.state_N6[kept], bodies.size_N3[kept])


def _with_ghost(truth: Truth, ahead_m: float) -> Bodies:
    state = truth.ego_6.copy()
    state[X] += ahead_m * np.cos(state[HEADING])
    state[Y] += ahead_m * np.sin(state[HEADING])
    state[SPEED] = truth.ego_6[SPEED]
    others = truth.others
    return Bodies(
        np.append(others.id_N, GHOST_ID),
        np.append(others.kind_N, np.int64(Kind.VEHICLE)),
        np.concatenate([others.state_N6, state[None]]),
        np.concatenate([others.size_N3, np.array([GHOST_SIZE])]),
    )


def spoiled(reading: Reading, faults: Sequence[InjectedFault], seed: int, specs: Specs) -> Reading:
    """After sensing: covered fields of view, jumps, biases, garbage."""
    for fault in faults:
        if fault.kind is FaultKind.BLIND:
            reading = _blinded(reading, fault.amount, specs)
        elif fault.kind is FaultKind.JUMP and isinstance(reading, GpsReading):
            angle = Rng(seed, "adas/drive/sensors/jump", fault.from_us).numpy().uniform(-np.pi, np.pi)
            off = fault.amount * np.array([np.cos(angle), np.sin(angle)])
            reading = replace(reading, xy_2=reading.xy_2 + off)
        elif fault.kind is FaultKind.BIAS and isinstance(reading, ImuReading):
            reading = replace(reading, gyro_3=reading.gyro_3 + np.array([0.0, 0.0, fault.amount]))
        elif fault.kind is FaultKind.BIAS and isinstance(reading, RadarReading):
            returns = reading.returns_N4.copy()
            returns[:, RANGE] += fault.amount
            reading = replace(reading, returns_N4=returns)
        elif fault.kind is FaultKind.GARBAGE:
            reading = _garbage(reading, reading.stamp.sequence)
    return reading


def _blinded(reading: Reading, part: float, specs: Specs) -> Reading:
    """From the middle outwards: what is ahead is lost first."""
    if isinstance(reading, CameraReading):
        width = reading.image_HW.shape[1]
        half = round(part * width / 2)
        image = reading.image_HW.copy()
        image[:, width // 2 - half : width // 2 + half] = DIRT
        return replace(reading, image_HW=image)
    if isinstance(reading, LidarReading):
        x, y = reading.points_N4[:, 0] - specs.lidar.mount_x_m, reading.points_N4[:, 1]
        free = np.abs(np.arctan2(y, x)) > part * specs.lidar.field_of_view_rad / 2 + 1e-6
        return replace(reading, points_N4=reading.points_N4[free])
    return reading


def _garbage(reading: Reading, turn: int) -> Reading:
    """Not a number, infinity, a wrong shape, a wrong type: one after the other."""

    def bad(good: Any) -> Any:
        floats = np.asarray(good, dtype=np.float64)
        if turn % 4 == 0:
            return np.full(floats.shape if floats.size else (1, *floats.shape[1:]), np.nan)
        if turn % 4 == 1:
            return np.full(floats.shape if floats.size else (1, *floats.shape[1:]), np.inf)
        return np.zeros((3, 7, 2)) if turn % 4 == 2 else np.array(["no", "numbers"])

    if isinstance(reading, CameraReading):
        return replace(reading, image_HW=bad(reading.image_HW))
    if isinstance(reading, RadarReading):
        return replace(reading, returns_N4=bad(reading.returns_N4))
    if isinstance(reading, LidarReading):
        return replace(reading, points_N4=bad(reading.points_N4))
    if isinstance(reading, GpsReading):
        return replace(reading, xy_2=bad(reading.xy_2), velocity_2=bad(reading.velocity_2))
    return replace(reading, accel_3=bad(reading.accel_3), gyro_3=bad(reading.gyro_3))
